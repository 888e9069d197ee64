// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests smart plugs with literal answers, and with a local HTTP server that behaves like them.
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <httplib.h>

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/smart_plug_answers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::Not;

constexpr char kGen1Meter[] =
    R"({"power":48.52,"overpower":0.00,"is_valid":true,"timestamp":1606215925,)"
    R"("counters":[48.663, 48.776, 46.173],"total":394})";
constexpr char kGen2Switch[] =
    R"({"id":0, "source":"WS_in", "output":false, "apower":12.5, "voltage":123.3, )"
    R"("current":0.000, "aenergy":{"total":1.5,"by_minute":[0.000,0.000,0.000],)"
    R"("minute_ts":1680536525},"temperature":{"tC":44.4, "tF":112.0}})";
constexpr char kTasmota[] =
    R"({"StatusSNS":{"Time":"2021-09-15T10:59:14","ENERGY":{"TotalStartTime":)"
    R"("2021-09-01T10:21:19","Total":7.901,"Yesterday":1.759,"Today":0.341,"Power":752,)"
    R"("ApparentPower":801,"ReactivePower":278,"Factor":0.94,"Voltage":229,"Current":3.500}}})";

TEST(PlugAnswerTest, EachCounterHasItsOwnUnit) {
  const auto gen1 = ParseShellyMeter(kGen1Meter);
  ASSERT_THAT(gen1, IsOk());
  EXPECT_NEAR(gen1->power.value(), 48.52, 1e-9);
  EXPECT_NEAR(gen1->energy->value(), 394 * 60.0, 1e-6);  // watt-minutes
  const auto gen2 = ParseShellyStatus(kGen2Switch);
  ASSERT_THAT(gen2, IsOk());
  EXPECT_NEAR(gen2->power.value(), 12.5, 1e-9);
  EXPECT_NEAR(gen2->energy->value(), 1.5 * 3600, 1e-6);  // watt-hours
  const auto tasmota = ParseTasmotaStatus(kTasmota, 0);
  ASSERT_THAT(tasmota, IsOk());
  EXPECT_NEAR(tasmota->power.value(), 752, 1e-9);
  EXPECT_NEAR(tasmota->energy->value(), 7.901 * 3.6e6, 1e-3);  // kilowatt-hours
}

TEST(PlugAnswerTest, AMeterClassShellyAndAPlugWithSeveralOutlets) {
  EXPECT_NEAR(ParseShellyStatus(R"({"id":0,"act_power":-3.5,"aprt_power":9})")->power.value(), -3.5,
              1e-9);
  const std::string two = R"({"StatusSNS":{"ENERGY":{"Total":1,"Power":[3, 4.5]}}})";
  EXPECT_NEAR(ParseTasmotaStatus(two, 1)->power.value(), 4.5, 1e-9);
  EXPECT_EQ(ParseTasmotaStatus(two, 1)->energy, std::nullopt);
  EXPECT_THAT(ParseTasmotaStatus(two, 2),
              StatusIs(StatusCode::kUnavailable, HasSubstr("2 outlets")));
}

TEST(PlugAnswerTest, APlugThatDoesNotMeasureIsAnErrorAndNeverZero) {
  EXPECT_THAT(ParseShellyMeter(R"({"power":0,"is_valid":false})"),
              StatusIs(StatusCode::kUnavailable, HasSubstr("not valid")));
  EXPECT_THAT(ParseShellyStatus(R"({"id":0,"output":true})"),
              StatusIs(StatusCode::kUnavailable, HasSubstr("apower")));
  EXPECT_THAT(ParseShellyStatus(R"({"apower":null})"),
              StatusIs(StatusCode::kUnavailable, HasSubstr("apower")));
  EXPECT_THAT(ParseTasmotaStatus(R"({"StatusSNS":{"Time":"x"}})", 0),
              StatusIs(StatusCode::kUnavailable, HasSubstr("ENERGY")));
  EXPECT_THAT(ParseTasmotaStatus(R"({"WARNING":"Need user=<username>&password=<password>"})", 0),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("password")));
}

TEST(PlugAnswerTest, OtherTextsAreRefused) {
  for (const std::string text : {"", "[]", "3", "<html>", "{\"power\":", "{\"power\":\"48 W\"}",
                                 "{\"apower\":\"x\"}", "{\"gen\":\"two\"}", "{\"power\":1e999}"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseShellyMeter(text), Not(IsOk()));
    EXPECT_THAT(ParseShellyStatus(text), Not(IsOk()));
    EXPECT_THAT(ParseTasmotaStatus(text, 0), Not(IsOk()));
    EXPECT_THAT(ParseShellyGeneration(text), Not(IsOk()));
  }
  EXPECT_EQ(*ParseShellyGeneration(R"({"type":"SHPLG-S","auth":false})"), 1);
  EXPECT_EQ(*ParseShellyGeneration(R"({"name":null,"gen":3,"auth_en":false})"), 3);
}

// A plug on its own port.
class PlugTest : public testing::Test {
 protected:
  PlugTest() {
    server_.set_keep_alive_max_count(1);
    server_.Get(".*", [this](const httplib::Request& request, httplib::Response& response) {
      ++requests_;
      const auto answer = answers_.find(request.target);
      if (answer == answers_.end()) {
        response.status = 404;
        return;
      }
      response.set_content(answer->second, "application/json");
    });
  }
  ~PlugTest() override { Stop(); }

  void Start() {
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) {
      std::this_thread::yield();
    }
  }
  void Stop() {
    if (thread_.joinable()) {
      server_.stop();
      thread_.join();
    }
  }
  std::unique_ptr<Source> Plug(const std::string& model,
                               std::map<std::string, std::string> more = {}) {
    more.insert({{"model", model}, {"address", absl::StrCat("127.0.0.1:", port_)}});
    auto found = Discover("smart_plug", "", {{.kind = "smart_plug", .values = more}});
    return std::move(found.at(0).source);
  }
  static double PowerOf(Source& plug) {
    const auto readings = plug.Poll(Monotonic(absl::Seconds(5)));
    EXPECT_THAT(readings, IsOk());
    return readings.ok() ? std::get<Watts>(readings->at(0).value).value() : -1;
  }

  httplib::Server server_;
  std::map<std::string, std::string> answers_;  // by path with query; set before Start
  std::atomic<int> requests_{0};
  int port_ = 0;
  std::thread thread_;
};

TEST_F(PlugTest, AShellyOfTheFirstGeneration) {
  answers_["/shelly"] = R"({"type":"SHPLG-S","mac":"X","auth":false})";
  answers_["/meter/0"] = kGen1Meter;
  Start();
  const auto plug = Plug("shelly");
  EXPECT_NEAR(PowerOf(*plug), 48.52, 1e-9);
  EXPECT_EQ(plug->info().scope, "mains");
  EXPECT_NEAR(PowerOf(*plug), 48.52, 1e-9);
  EXPECT_EQ(requests_, 3);  // the generation is asked once
}

TEST_F(PlugTest, LaterShelliesAreAskedByTheMethodThatTheyHave) {
  answers_["/shelly"] = R"({"name":null,"gen":3,"auth_en":false})";
  answers_["/rpc/PM1.GetStatus?id=1"] = kGen2Switch;  // no Switch: 404
  Start();
  EXPECT_NEAR(PowerOf(*Plug("shelly", {{"outlet", "1"}})), 12.5, 1e-9);
  EXPECT_THAT(Plug("shelly")->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("number 0")));
}

TEST_F(PlugTest, TasmotaWithAPassword) {
  answers_["/cm?cmnd=Status%208&user=admin&password=a%26b%20c"] = kTasmota;
  answers_["/cm?cmnd=Status%208"] = R"({"WARNING":"Need user=<username>&password=<password>"})";
  Start();
  EXPECT_NEAR(PowerOf(*Plug("tasmota", {{"password", "a&b c"}})), 752, 1e-9);
  EXPECT_THAT(Plug("tasmota")->Poll(Monotonic()),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("`password`")));
}

TEST_F(PlugTest, ALaterShellyWithAPasswordWantsDigest) {
  std::string authorization;
  answers_["/shelly"] = R"({"name":null,"gen":2,"auth_en":true})";
  server_.set_pre_routing_handler(
      [&](const httplib::Request& request, httplib::Response& response) {
        if (request.path.rfind("/rpc", 0) != 0) {
          return httplib::Server::HandlerResponse::Unhandled;
        }
        authorization = request.get_header_value("Authorization");
        if (authorization.empty()) {
          response.status = 401;
          response.set_header("WWW-Authenticate",
                              "Digest qop=\"auth\", realm=\"shellyplugs-1\", nonce=\"60dc59c6\", "
                              "algorithm=SHA-256");
          response.set_content("a body that is not the answer", "text/plain");
        } else {
          response.set_content(kGen2Switch, "application/json");
        }
        return httplib::Server::HandlerResponse::Handled;
      });
  Start();
  EXPECT_NEAR(PowerOf(*Plug("shelly", {{"password", "secret"}})), 12.5, 1e-9);
  EXPECT_THAT(authorization,
              testing::AllOf(HasSubstr("Digest"), HasSubstr("username=\"admin\""),
                             HasSubstr("algorithm=SHA-256"), Not(HasSubstr("secret"))));
  EXPECT_THAT(Plug("shelly")->Poll(Monotonic()),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("`password`")));
}

TEST_F(PlugTest, AnAbsentPlugIsASourceWithAnErrorAndComesBack) {
  answers_["/cm?cmnd=Status%208"] = kTasmota;
  Start();
  const auto plug = Plug("tasmota", {{"password", "hidden"}});
  Stop();
  EXPECT_THAT(plug->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable,
                       testing::AllOf(HasSubstr("is the plug on"), Not(HasSubstr("hidden")))));
}

TEST_F(PlugTest, APlugThatIsReplacedByAnotherGenerationIsFoundAgain) {
  answers_["/shelly"] = R"({"type":"SHPLG-S"})";
  answers_["/meter/0"] = kGen1Meter;
  Start();
  const auto plug = Plug("shelly");
  EXPECT_NEAR(PowerOf(*plug), 48.52, 1e-9);
  answers_ = {{"/shelly", R"({"gen":2})"}, {"/rpc/Switch.GetStatus?id=0", kGen2Switch}};
  EXPECT_THAT(plug->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("404")));
  EXPECT_NEAR(PowerOf(*plug), 12.5, 1e-9);
}

TEST_F(PlugTest, AnEndlessAnswerIsCutAndNegativeWattsAreNone) {
  answers_["/cm?cmnd=Status%208"] = std::string(size_t{1} << 20, ' ');
  Start();
  EXPECT_THAT(Plug("tasmota")->Poll(Monotonic()), Not(IsOk()));
  answers_["/cm?cmnd=Status%208"] = R"({"StatusSNS":{"ENERGY":{"Power":-3}}})";
  EXPECT_THAT(Plug("tasmota")->Poll(Monotonic()),
              StatusIs(StatusCode::kInternal, HasSubstr("-3 W")));
}

TEST_F(PlugTest, APlugThatAcceptsAndSaysNothingDoesNotHoldItsSourceUp) {
  absl::Notification end;
  server_.set_pre_routing_handler([&](const httplib::Request&, httplib::Response&) {
    end.WaitForNotification();
    return httplib::Server::HandlerResponse::Handled;
  });
  Start();
  EXPECT_THAT(Plug("tasmota")->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("Read")));
  end.Notify();
  Stop();  // the handler waits on `end`, which is destroyed before the server
}

TEST(SmartPlugTest, AddressesAreParsed) {
  for (const auto& [address, right] : std::map<std::string, bool>{
           {"plug.local", true}, {"192.168.1.40:8080", true}, {"[::1]", true}, {"a:b", false}}) {
    const auto found =
        Discover("smart_plug", "",
                 {{.kind = "smart_plug", .values = {{"model", "shelly"}, {"address", address}}}});
    EXPECT_EQ(found.at(0).problem.ok(), right) << address;
  }
}

}  // namespace
}  // namespace wattle::telemetry
