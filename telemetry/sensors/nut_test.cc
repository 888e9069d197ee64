// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests upsd's lines, and a server that speaks them wrongly. tests/integration/sensors_test.py uses
// a real upsd.
#include "telemetry/sensors/nut.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::Not;

TEST(UpsVariableTest, QuotesAndBackslashesAreEscaped) {
  UpsVariables variables;
  EXPECT_THAT(ParseUpsVariable("VAR mast ups.status \"OB DISCHRG\"", &variables), IsOk());
  EXPECT_THAT(ParseUpsVariable(R"(VAR mast device.model "Back-UPS \"12\" \\ 9")", &variables),
              IsOk());
  EXPECT_THAT(ParseUpsVariable("VAR mast ups.serial \"\"", &variables), IsOk());
  EXPECT_EQ(variables["ups.status"], "OB DISCHRG");
  EXPECT_EQ(variables["device.model"], R"(Back-UPS "12" \ 9)");
  EXPECT_EQ(variables["ups.serial"], "");
  for (const char* wrong : {"", "VAR", "VAR mast", "VAR mast key", "VAR mast key value",
                            "VAR mast \"x\"", "VAR mast key \"", "GET VAR mast key \"x\""}) {
    EXPECT_THAT(ParseUpsVariable(wrong, &variables),
                StatusIs(StatusCode::kInternal, HasSubstr("upsd")))
        << wrong;
  }
}

TEST(UpsErrorTest, EachReasonHasItsRemedy) {
  EXPECT_THAT(UpsError("ERR UNKNOWN-UPS"), StatusIs(StatusCode::kNotFound, HasSubstr("upsc -l")));
  EXPECT_THAT(UpsError("ERR ACCESS-DENIED"),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("upsd.conf")));
  EXPECT_THAT(UpsError("ERR DATA-STALE"), StatusIs(StatusCode::kUnavailable, HasSubstr("driver")));
  EXPECT_THAT(UpsError("ERR WHATEVER x"),
              StatusIs(StatusCode::kUnavailable, HasSubstr("WHATEVER")));
}

// Answers its only client with a text and hangs up, or says nothing until the end.
class FakeUpsd {
 public:
  FakeUpsd(std::string answer, bool hangs_up) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, hangs_up] {
      const int client = accept(listener_, nullptr, nullptr);
      char byte = 0;
      while (byte != '\n' && read(client, &byte, 1) == 1) {
        asked_.push_back(byte);
      }
      EXPECT_EQ(write(client, answer_.data(), answer_.size()),
                static_cast<ssize_t>(answer_.size()));
      while (!hangs_up && read(client, &byte, 1) == 1) {
      }
      close(client);
    });
  }
  ~FakeUpsd() {
    thread_.join();
    close(listener_);
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const std::string& asked() const { return asked_; }  // after an answer

 private:
  std::string answer_;
  std::string asked_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

using Values = std::map<std::string, std::string>;

absl::StatusOr<std::vector<Reading>> Ask(const std::string& answer, Values more = {},
                                         bool hangs_up = true) {
  const FakeUpsd upsd(answer, hangs_up);
  more.insert({{"ups", "mast"}, {"address", absl::StrCat("127.0.0.1:", upsd.port())}});
  const auto found = Discover("nut", "", {{.kind = "nut", .values = more}});
  return found.at(0).source->Poll(Monotonic(absl::Seconds(9)));
}

std::string List(const Values& variables) {
  std::string text = "BEGIN LIST VAR mast\n";
  for (const auto& [key, value] : variables) {
    absl::StrAppend(&text, "VAR mast ", key, " \"", value, "\"\n");
  }
  return text + "END LIST VAR mast\n";
}

const ChargeState& ChargeOf(const std::vector<Reading>& readings) {
  return std::get<ChargeState>(readings.at(0).value);
}

TEST(NutTest, OnBatteryItTellsChargeDrawAndThatTheBatteryIsLow) {
  const auto readings = Ask(List({{"battery.charge", "42"},
                                  {"battery.runtime", "1860"},
                                  {"ups.status", "OB DISCHRG LB"},
                                  {"ups.realpower", "37.5"}}),
                            {{"power", "measured"}, {"capacity_wh", "480"}});
  ASSERT_THAT(readings, IsOk());
  ASSERT_EQ(readings->size(), 4U);
  EXPECT_NEAR(ChargeOf(*readings).state_of_charge.value(), 0.42, 1e-9);
  EXPECT_FALSE(ChargeOf(*readings).charging);
  EXPECT_NEAR(ChargeOf(*readings).draw->value(), 37.5, 1e-9);
  EXPECT_NEAR(ToWattHours(*ChargeOf(*readings).capacity), 480, 1e-9);
  EXPECT_EQ(std::get<Level>(readings->at(1).value).value, 1);
  EXPECT_EQ(std::get<Level>(readings->at(2).value).value, 1860);
  EXPECT_NEAR(std::get<Watts>(readings->at(3).value).value(), 37.5, 1e-9);
}

TEST(NutTest, OnlineItChargesAndAnEstimateComesFromTheLoad) {
  const auto readings = Ask(List({{"battery.charge", "100"},
                                  {"ups.status", "OL CHRG"},
                                  {"ups.load", "12"},
                                  {"ups.realpower.nominal", "400"}}),
                            {{"power", "estimated"}});
  ASSERT_THAT(readings, IsOk());
  EXPECT_TRUE(ChargeOf(*readings).charging);
  EXPECT_NEAR(std::get<Watts>(readings->back().value).value(), 48, 1e-9);
}

TEST(NutTest, WithoutAStatusNothingIsSaidOfTheDirection) {
  const auto readings = Ask(List({{"battery.charge", "50"}}));
  ASSERT_THAT(readings, IsOk());
  ASSERT_EQ(readings->size(), 1U);
  EXPECT_FALSE(ChargeOf(*readings).charging);
}

TEST(NutTest, AUpsOfVoltsAloneNeedsItsChemistry) {
  const std::string volts = List({{"battery.voltage", "12.24"}, {"ups.status", "OL"}});
  EXPECT_THAT(Ask(volts), StatusIs(StatusCode::kUnavailable, HasSubstr("`chemistry`")));
  const auto readings = Ask(volts, {{"chemistry", "lead"}, {"cells", "6"}});
  ASSERT_THAT(readings, IsOk());
  EXPECT_NEAR(ChargeOf(*readings).state_of_charge.value(), 0.6, 1e-9);
  EXPECT_THAT(Ask(volts, {{"chemistry", "lead"}}),
              StatusIs(StatusCode::kInternal, HasSubstr("`cells`")));
}

TEST(NutTest, PowerIsTheDevicesOnlyWhereSettingsSaySo) {
  for (const auto& [power, in_total] :
       std::map<std::string, bool>{{"none", false}, {"measured", true}, {"estimated", true}}) {
    const auto found =
        Discover("nut", "", {{.kind = "nut", .values = {{"ups", "u"}, {"power", power}}}});
    EXPECT_EQ(found.at(0).source->info().measures_power(), in_total) << power;
  }
}

TEST(NutTest, WrongAnswersAreErrors) {
  EXPECT_THAT(Ask("ERR UNKNOWN-UPS\n"), StatusIs(StatusCode::kNotFound, HasSubstr("mast@127")));
  EXPECT_THAT(Ask("ERR DATA-STALE\r\n"), StatusIs(StatusCode::kUnavailable, HasSubstr("driver")));
  EXPECT_THAT(Ask("HTTP/1.1 400 Bad Request\n"),
              StatusIs(StatusCode::kInternal, HasSubstr("HTTP")));
  EXPECT_THAT(Ask(std::string(9000, 'x')), StatusIs(StatusCode::kInternal, HasSubstr("4096")));
  EXPECT_THAT(Ask(List({{"battery.charge", "420"}})),
              StatusIs(StatusCode::kInternal, HasSubstr("420")));
  EXPECT_THAT(Ask("BEGIN LIST VAR mast\nVAR mast battery.charge \"50\"\n"),
              StatusIs(StatusCode::kUnavailable, HasSubstr("ended the connection")));
  EXPECT_THAT(Ask(List({{"battery.charge", "nan"}})), Not(IsOk()));
}

TEST(NutTest, AServerThatSaysNothingEndsByTheDeadline) {
  EXPECT_THAT(Ask("BEGIN LIST VAR mast\n", {}, /*hangs_up=*/false),
              StatusIs(StatusCode::kDeadlineExceeded, HasSubstr("no answer in time")));
}

TEST(NutTest, AnAbsentServerIsASourceWithAnError) {
  const auto found =
      Discover("nut", "",
               {{.kind = "nut", .values = {{"ups", "mast"}, {"address", "127.0.0.1:1"}}},
                {.kind = "nut", .values = {{"ups", "mast"}, {"address", "no-such-host.invalid"}}},
                {.kind = "nut", .values = {{"ups", "two words"}}}});
  EXPECT_THAT(found.at(0).source->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("127.0.0.1:1")));
  EXPECT_THAT(found.at(1).source->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("no-such-host")));
  EXPECT_THAT(found.at(2).problem, StatusIs(StatusCode::kInvalidArgument, HasSubstr("spaces")));
}

}  // namespace
}  // namespace wattle::telemetry
