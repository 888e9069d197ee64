// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The board's thermal zones, one channel each. A zone that is off (empty, error, 0 or -256 °C)
// gives no reading. Zones with a constant value (PMIC-Die of Jetsons) are left out. A zone's lowest
// passive trip point is where the kernel slows the board down.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

// A powered-off zone reads 0 or -256 °C; no board computes at 200 °C.
bool IsTemperature(int64_t millidegrees) {
  return millidegrees != 0 && millidegrees > -60'000 && millidegrees < 200'000;
}

class ThermalZones final : public Source {
 public:
  explicit ThermalZones(std::vector<Channel> zones) {
    info_ = {.name = "thermal_zone", .channels = std::move(zones)};
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> readings;
    for (size_t i = 0; i < info_.channels.size(); ++i) {
      const absl::StatusOr<int64_t> millidegrees = ReadInteger(info_.channels[i].file);
      if (millidegrees.ok() && IsTemperature(*millidegrees)) {
        readings.push_back({i, Celsius(static_cast<double>(*millidegrees) * 1e-3), now});
      }
    }
    if (readings.empty()) {
      return absl::UnavailableError("no thermal zone has a value now");
    }
    return readings;
  }

 private:
  SourceInfo info_;
};

// A board's trip points lie here. Zones of x86 have some of 0 or -274 °C, which mean "not set".
constexpr Celsius kTripMin(45);
constexpr Celsius kTripMax(130);
// A Raspberry Pi's firmware slows the board down and reports no trip point to the kernel.
constexpr Celsius kRaspberryPiThrottles(80);
constexpr const char* kRaspberryPi = "Raspberry Pi";

std::optional<Celsius> ThrottlesAt(const std::string& directory, bool raspberry_pi) {
  std::optional<Celsius> lowest;
  for (const std::string& entry : ListDirectory(directory)) {
    if (!absl::StartsWith(entry, "trip_point_") || !absl::EndsWith(entry, "_type") ||
        ReadText(absl::StrCat(directory, "/", entry)).value_or("") != "passive") {
      continue;
    }
    const std::string point = entry.substr(0, entry.size() - std::string("type").size());
    const absl::StatusOr<int64_t> millidegrees =
        ReadInteger(absl::StrCat(directory, "/", point, "temp"));
    const Celsius trip(millidegrees.ok() ? static_cast<double>(*millidegrees) * 1e-3 : 0.0);
    if (trip >= kTripMin && trip <= kTripMax) {
      lowest = std::min(lowest.value_or(trip), trip);
    }
  }
  return !lowest && raspberry_pi ? kRaspberryPiThrottles : lowest;
}

// One source for all zones; none if no zone remains.
std::vector<Candidate> DiscoverThermalZones(const std::string& root,
                                            const std::vector<SourceSettings>& /*entries*/) {
  const std::string thermal = root + "/sys/class/thermal";
  const bool raspberry_pi =
      absl::StartsWith(ReadText(root + "/proc/device-tree/model").value_or(""), kRaspberryPi);
  std::vector<Channel> zones;
  for (const std::string& entry : ListDirectory(thermal)) {
    if (!absl::StartsWith(entry, "thermal_zone")) {
      continue;
    }
    const std::string directory = absl::StrCat(thermal, "/", entry);
    const std::string type = ReadText(directory + "/type").value_or("");
    // PMIC-Die is constant; thermal-fan-est is a weighted mean that drives the fan.
    if (type == "PMIC-Die" || type == "thermal-fan-est") {
      continue;
    }
    // x86 boards have several zones of one type.
    const bool taken = std::any_of(zones.begin(), zones.end(),
                                   [&type](const Channel& zone) { return zone.name == type; });
    zones.push_back({.name = type.empty() || taken ? absl::StrCat(type, " ", entry) : type,
                     .file = directory + "/temp",
                     .metric = "wattle_zone_temperature_celsius",
                     .help = "Temperature of one thermal zone.",
                     .thermometer = true,
                     .throttles_at = ThrottlesAt(directory, raspberry_pi)});
  }
  std::vector<Candidate> found;
  if (!zones.empty()) {
    found.push_back(
        {.name = "thermal_zone", .source = std::make_unique<ThermalZones>(std::move(zones))});
  }
  return found;
}

}  // namespace

extern const SourceKind kThermalZoneKind = {"thermal_zone", {}, DiscoverThermalZones};

}  // namespace wattle::telemetry
