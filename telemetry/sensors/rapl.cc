// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/rapl.h"

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

struct Zone {
  std::string energy_path{};
  int64_t range_microjoules = 0;  // the counter wraps here; 0: not told
  int64_t last_microjoules = 0;
};

class Rapl final : public PowerSensor {
 public:
  explicit Rapl(std::vector<Zone> zones) : zones_(std::move(zones)) {
    info_ = {.name = absl::StrCat("rapl, ", zones_.size(), zones_.size() == 1 ? " zone" : " zones"),
             .source = EnergySource::kRapl,
             .scope = "soc_rails",
             // The counter moves every millisecond; ten readings a second are plenty for a
             // difference, and one a second would do.
             .refresh_period = absl::Milliseconds(500)};
  }
  [[nodiscard]] const PowerSensorInfo& info() const override { return info_; }

  absl::StatusOr<PowerReading> Read(Monotonic /*at*/) override {
    // All zones first: a failure in the middle must not move half of the sum.
    std::vector<int64_t> values;
    for (const Zone& zone : zones_) {
      WATTLE_ASSIGN_OR_RETURN(values.emplace_back(), ReadInteger(zone.energy_path));
    }
    for (size_t i = 0; i < zones_.size(); ++i) {
      Zone& zone = zones_[i];
      int64_t difference = values[i] - zone.last_microjoules;
      if (difference < 0) {
        difference += zone.range_microjoules;
      }
      // Below zero still: not a wrap but a reset, worth nothing.
      total_microjoules_ += static_cast<double>(difference < 0 ? 0 : difference);
      zone.last_microjoules = values[i];
    }
    return PowerReading(Joules(total_microjoules_ * 1e-6));
  }

 private:
  PowerSensorInfo info_;
  std::vector<Zone> zones_;
  double total_microjoules_ = 0.0;
};

absl::StatusOr<Zone> OpenZone(const std::string& directory) {
  Zone zone = {.energy_path = directory + "/energy_uj"};
  const absl::StatusOr<int64_t> energy = ReadInteger(zone.energy_path);
  if (absl::IsPermissionDenied(energy.status())) {
    return absl::PermissionDeniedError(
        absl::StrCat(zone.energy_path,
                     ": only root may read it; run the worker as root or make it readable "
                     "(chmod a+r, a udev rule makes that last)"));
  }
  WATTLE_RETURN_IF_ERROR(energy.status());
  zone.last_microjoules = *energy;
  const absl::StatusOr<int64_t> range = ReadInteger(directory + "/max_energy_range_uj");
  zone.range_microjoules = range.ok() ? *range : 0;
  return zone;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PowerSensor>> OpenRapl(const std::string& root) {
  const std::string powercap = root + "/sys/class/powercap";
  std::vector<Zone> zones;
  std::set<std::string> names_seen;
  for (const std::string& entry : ListDirectory(powercap)) {
    // "intel-rapl:0" is a package, "intel-rapl:0:1" a zone inside; "intel-rapl-mmio:0" repeats one.
    if (!absl::StartsWith(entry, "intel-rapl:")) {
      continue;
    }
    const std::string directory = absl::StrCat(powercap, "/", entry);
    const absl::StatusOr<std::string> name = ReadText(directory + "/name");
    if (!name.ok()) {
      continue;
    }
    const bool package = absl::StartsWith(*name, "package-") && names_seen.insert(*name).second;
    if (package || *name == "dram") {
      WATTLE_ASSIGN_OR_RETURN(Zone zone, OpenZone(directory));
      zones.push_back(std::move(zone));
    }
  }
  if (zones.empty()) {
    return absl::NotFoundError("no RAPL package under /sys/class/powercap");
  }
  return std::make_unique<Rapl>(std::move(zones));
}

}  // namespace wattle::telemetry
