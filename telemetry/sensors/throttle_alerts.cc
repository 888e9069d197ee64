// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether a Jetson throttles: the cooling devices "…-throttle-alert" (JetPack 5 and 6), and on
// Orins the counters of under-voltage and over-current events. The counters grow at full load of
// the highest mode without harm, so they are only shown; only the alerts mean "throttled".
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

// The events of Orin's three over-current inputs.
constexpr const char* kEvents[] = {"under_voltage", "average_over_current",
                                   "instantaneous_over_current"};

class ThrottleAlerts final : public Source {
 public:
  // alerts: files with 0 or a state of throttling. counters: channels of events.
  ThrottleAlerts(std::vector<Channel> alerts, std::vector<Channel> counters)
      : alerts_(alerts.size()) {
    info_.name = "throttle_alerts";
    info_.channels = std::move(alerts);
    for (Channel& counter : counters) {
      info_.channels.push_back(std::move(counter));
    }
    if (alerts_ > 0) {
      info_.channels.push_back({.name = "alerts",
                                .file = info_.channels[0].file,
                                .metric = "wattle_throttled",
                                .help = "1 while the device has lowered its clocks."});
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> readings;
    bool throttled = false;
    size_t answered = 0;
    const size_t files = info_.channels.size() - (alerts_ > 0 ? 1 : 0);
    for (size_t i = 0; i < files; ++i) {
      const absl::StatusOr<int64_t> value = ReadInteger(info_.channels[i].file);
      if (!value.ok()) {
        continue;
      }
      const auto number = static_cast<double>(*value);
      if (i < alerts_) {
        ++answered;
        throttled |= *value > 0;
        readings.push_back({i, Level{number}, now});
      } else {
        readings.push_back({i, Tally{number}, now});
      }
    }
    // Only if every alert answers can the answer be "not throttled".
    if (alerts_ > 0 && (throttled || answered == alerts_)) {
      readings.push_back({files, Throttling{throttled}, now});
    }
    if (readings.empty()) {
      return absl::UnavailableError("no throttle alert has a value now");
    }
    return readings;
  }

 private:
  size_t alerts_;  // channels before the counters
  SourceInfo info_;
};

// One source for all alerts and counters; none if there are none.
std::vector<Candidate> DiscoverThrottleAlerts(const std::string& root,
                                              const std::vector<SourceSettings>& /*entries*/) {
  std::vector<Channel> alerts;
  const std::string thermal = root + "/sys/class/thermal";
  for (const std::string& entry : ListDirectory(thermal)) {
    const std::string directory = absl::StrCat(thermal, "/", entry);
    const std::string type = ReadText(directory + "/type").value_or("");
    // "pwm-fan" and "cpufreq-cpu0" are above 0 in normal use.
    if (absl::StartsWith(entry, "cooling_device") && absl::EndsWith(type, "-throttle-alert")) {
      alerts.push_back({.name = type,
                        .file = directory + "/cur_state",
                        .metric = "wattle_throttle_alert_state",
                        .help = "0, or how strongly one unit of the device is throttled."});
    }
  }
  std::vector<Channel> counters;
  const std::string hwmon = root + "/sys/class/hwmon";
  for (const std::string& entry : ListDirectory(hwmon)) {
    const std::string directory = absl::StrCat(hwmon, "/", entry);
    if (ReadText(directory + "/name").value_or("") != "soctherm_oc") {
      continue;
    }
    int number = 0;
    for (const char* event : kEvents) {
      const std::string file = absl::StrCat(directory, "/oc", ++number, "_event_cnt");
      if (!absl::IsNotFound(ReadText(file).status())) {
        counters.push_back({.name = event,
                            .file = file,
                            .metric = "wattle_over_current_events_total",
                            .help = "Under-voltage and over-current events since boot."});
      }
    }
  }
  std::vector<Candidate> found;
  if (!alerts.empty() || !counters.empty()) {
    found.push_back(
        {.name = "throttle_alerts",
         .source = std::make_unique<ThrottleAlerts>(std::move(alerts), std::move(counters))});
  }
  return found;
}

}  // namespace

extern const SourceKind kThrottleAlertsKind = {"throttle_alerts", {}, DiscoverThrottleAlerts};

}  // namespace wattle::telemetry
