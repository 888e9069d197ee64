// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A smart plug that supplies the device, asked by HTTP: Shelly of the first and of later
// generations, Tasmota. A plug is read only if the settings name it. The plug measures the mains,
// including the power supply's loss and everything else on the plug.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <httplib.h>

#include "base/clock.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/smart_plug_answers.h"

namespace wattle::telemetry {
namespace {

constexpr Setting kSmartPlugSettings[] = {
    {.name = "model",
     .meaning = "whose firmware the plug runs",
     .required = true,
     .choices = "shelly|tasmota"},
    {.name = "address", .meaning = "host, or host:port, of the plug", .required = true},
    {.name = "outlet", .meaning = "number of the outlet, from 0", .low = 0, .high = 15},
    {.name = "user", .meaning = "user of the plug's web page; Shelly and Tasmota: admin"},
    {.name = "password", .meaning = "password of the plug's web page"},
    {.name = "rank",
     .meaning = "place among sources of the device's power, the lowest is used; absent: 30",
     .low = 1,
     .high = 1000},
};

// Plugs update their values about once a second.
constexpr absl::Duration kSmartPlugCadence = absl::Seconds(1);
constexpr absl::Duration kSmartPlugDeadline = absl::Seconds(4);
constexpr int kTimeoutSeconds = 2;  // for each connect, read or write
constexpr size_t kSmartPlugAnswerMax = size_t{64} << 10;
constexpr int kHttpPort = 80;

std::string UrlEncoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) {
      out.push_back(c);
    } else {
      absl::StrAppendFormat(&out, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return out;
}

struct Answer {
  int status = 0;
  std::string body{};
};

// One HTTP endpoint.
class PlugClient {
 public:
  PlugClient(HostPort endpoint, std::string user, std::string password)
      : endpoint_(std::move(endpoint)), user_(std::move(user)), password_(std::move(password)) {}

  // digest: SHA-256 digest authentication, for later Shellys; else basic. Errors: kUnavailable,
  // kDeadlineExceeded.
  [[nodiscard]] absl::StatusOr<Answer> Get(const std::string& path, bool digest) const {
    httplib::Client client(endpoint_.host, endpoint_.port);
    client.set_connection_timeout(kTimeoutSeconds);
    client.set_read_timeout(kTimeoutSeconds);
    client.set_write_timeout(kTimeoutSeconds);
    if (!password_.empty() && digest) {
      client.set_digest_auth(user_, password_);
    } else if (!password_.empty()) {
      client.set_basic_auth(user_, password_);
    }
    Answer answer;
    // The whole answer has a deadline, because a plug that sends byte by byte never reaches the
    // timeout of one read.
    const Monotonic end = Clock::Real().Boottime() + kSmartPlugDeadline;
    bool late = false;
    const httplib::Result result = client.Get(
        path,
        [&answer](const httplib::Response& response) {
          answer = {.status =
                        response.status};  // the answer to a request after a 401 replaces the first
          return true;
        },
        [&answer, &late, end](const char* data, size_t size) {
          late = Clock::Real().Boottime() > end;
          answer.body.append(data, size);
          return !late && answer.body.size() <= kSmartPlugAnswerMax;
        });
    // Without the query, which may have a password.
    const std::string where =
        absl::StrCat("http://", FormatHostPort(endpoint_), path.substr(0, path.find('?')));
    if (late) {
      return absl::DeadlineExceededError(absl::StrCat(where, ": no whole answer within ",
                                                      absl::FormatDuration(kSmartPlugDeadline)));
    }
    if (!result) {
      return absl::UnavailableError(absl::StrCat(where, ": no answer (",
                                                 httplib::to_string(result.error()),
                                                 "); is the plug on, and its address right?"));
    }
    return answer;
  }

 private:
  HostPort endpoint_;
  std::string user_;
  std::string password_;
};

absl::Status WrongStatus(const std::string& path, int status) {
  if (status == 401 || status == 403) {
    return absl::PermissionDeniedError(absl::StrCat(
        path, ": the plug wants its password; set `password` (and `user`) of the sensor"));
  }
  return absl::UnavailableError(absl::StrCat(path, ": the plug answers HTTP status ", status));
}

class SmartPlug final : public Source {
 public:
  SmartPlug(const SourceSettings& entry, const HostPort& endpoint)
      : client_(endpoint, entry.Text("user", "admin"), entry.Text("password")),
        tasmota_(entry.Text("model") == "tasmota"),
        outlet_(static_cast<size_t>(entry.Number("outlet", 0))),
        password_(entry.Text("password")),
        user_(entry.Text("user", "admin")) {
    const std::string address = entry.Text("address");
    info_ = {.name = absl::StrCat("smart_plug ", address, outlet_ > 0 ? " " : "",
                                  outlet_ > 0 ? absl::StrCat(outlet_) : ""),
             .cadence = kSmartPlugCadence,
             .deadline = kSmartPlugDeadline + absl::Seconds(2 * kTimeoutSeconds),
             .energy_source = v1::ENERGY_SOURCE_SMART_PLUG,
             .scope = "mains",
             .rank = static_cast<int>(entry.Number("rank", 30)),
             .averages = true,
             .plausible_max = Watts(4000),
             .error_ratio = 0.02,
             // Many plugs read low, or 0, below a few watts.
             .error_floor = Watts(1),
             .steady_max = absl::Minutes(1)};  // whole watts, and some plugs answer from a cache
    info_.channels = {{.name = address,
                       .file = absl::StrCat("http://", address),
                       .metric = "wattle_plug_power_watts",
                       .help = "Power at a smart plug.",
                       .in_total = true},
                      {.name = address,
                       .file = absl::StrCat("http://", address),
                       .metric = "wattle_plug_energy_joules_total",
                       .help = "The smart plug's own energy counter."}};
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    WATTLE_ASSIGN_OR_RETURN(const PlugReading plug, tasmota_ ? AskTasmota() : AskShelly());
    if (plug.power < Watts(0)) {
      return absl::InternalError(
          absl::StrCat(info_.name, ": ", plug.power.value(), " W; a device draws no less than 0"));
    }
    std::vector<Reading> readings = {{0, plug.power, now}};
    if (plug.energy) {
      readings.push_back({1, Tally{plug.energy->value()}, now});
    }
    return readings;
  }

 private:
  absl::StatusOr<std::string> Body(const std::string& path, bool digest) {
    WATTLE_ASSIGN_OR_RETURN(Answer answer, client_.Get(path, digest));
    if (answer.status != 200) {
      return WrongStatus(path, answer.status);
    }
    return std::move(answer.body);
  }

  absl::StatusOr<PlugReading> AskTasmota() {
    std::string path = "/cm?cmnd=Status%208";
    if (!password_.empty()) {
      absl::StrAppend(&path, "&user=", UrlEncoded(user_), "&password=", UrlEncoded(password_));
    }
    WATTLE_ASSIGN_OR_RETURN(const Answer answer, client_.Get(path, /*digest=*/false));
    if (answer.status != 200) {
      return WrongStatus("/cm", answer.status);
    }
    return ParseTasmotaStatus(answer.body, outlet_);
  }

  absl::StatusOr<PlugReading> AskShelly() {
    if (status_path_.empty()) {
      WATTLE_RETURN_IF_ERROR(FindShelly());
    }
    absl::StatusOr<std::string> body = Body(status_path_, /*digest=*/generation_ > 1);
    if (!body.ok()) {
      status_path_.clear();  // the plug may have been replaced; the next call looks again
      return body.status();
    }
    return generation_ > 1 ? ParseShellyStatus(*body) : ParseShellyMeter(*body);
  }

  // Sets generation_ and status_path_. /shelly needs no password.
  absl::Status FindShelly() {
    WATTLE_ASSIGN_OR_RETURN(const std::string about, Body("/shelly", /*digest=*/false));
    WATTLE_ASSIGN_OR_RETURN(generation_, ParseShellyGeneration(about));
    if (generation_ == 1) {
      status_path_ = absl::StrCat("/meter/", outlet_);
      return absl::OkStatus();
    }
    for (const char* component : {"Switch", "PM1", "EM1"}) {
      const std::string path = absl::StrCat("/rpc/", component, ".GetStatus?id=", outlet_);
      WATTLE_ASSIGN_OR_RETURN(const Answer answer, client_.Get(path, /*digest=*/true));
      if (answer.status == 200) {
        status_path_ = path;
        return absl::OkStatus();
      }
      if (answer.status == 401) {
        return WrongStatus(path, answer.status);
      }
    }
    return absl::UnavailableError(
        absl::StrCat("the Shelly has no switch or meter with number ", outlet_));
  }

  PlugClient client_;
  bool tasmota_;
  size_t outlet_;
  std::string password_;
  std::string user_;
  int generation_ = 0;
  std::string status_path_;
  SourceInfo info_;
};

// One source for each entry, whether the plug is reachable or not. Poll keeps its deadline. Errors
// of Poll: kUnavailable (no answer, or another kind of answer), kPermissionDenied (the password),
// kDeadlineExceeded.
std::vector<Candidate> DiscoverSmartPlugs(const std::string& /*root*/,
                                          const std::vector<SourceSettings>& entries) {
  std::vector<Candidate> found;
  for (const SourceSettings& entry : entries) {
    const std::string address = entry.Text("address");
    const bool has_port = address.rfind(':') != std::string::npos && address.back() != ']';
    const auto endpoint =
        ParseHostPort("address", has_port ? address : absl::StrCat(address, ":", kHttpPort));
    const std::string name = absl::StrCat("smart_plug ", address);
    if (endpoint.ok()) {
      found.push_back({.name = name, .source = std::make_unique<SmartPlug>(entry, *endpoint)});
    } else {
      found.push_back({.name = name, .problem = endpoint.status()});
    }
  }
  return found;
}

}  // namespace

extern const SourceKind kSmartPlugKind = {"smart_plug", kSmartPlugSettings, DiscoverSmartPlugs};

}  // namespace wattle::telemetry
