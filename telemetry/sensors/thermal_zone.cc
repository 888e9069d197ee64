// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/thermal_zone.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

class ThermalZones final : public Thermometer {
 public:
  explicit ThermalZones(std::vector<std::string> paths) : paths_(std::move(paths)) {}
  [[nodiscard]] const std::string& name() const override { return name_; }

  absl::StatusOr<Celsius> Read(Monotonic /*at*/) override {
    std::optional<Celsius> hottest;
    for (const std::string& path : paths_) {
      const absl::StatusOr<int64_t> millidegrees = ReadInteger(path);
      // A powered-off zone reads 0 or -256 °C; nothing computes at 200 °C.
      if (!millidegrees.ok() || *millidegrees == 0 || *millidegrees < -60'000 ||
          *millidegrees > 200'000) {
        continue;
      }
      const Celsius celsius(static_cast<double>(*millidegrees) * 1e-3);
      if (!hottest || *hottest < celsius) {
        hottest = celsius;
      }
    }
    if (!hottest) {
      return absl::UnavailableError("no thermal zone has a value now");
    }
    return *hottest;
  }

 private:
  std::string name_ = "thermal zones";
  std::vector<std::string> paths_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Thermometer>> OpenThermalZones(const std::string& root) {
  const std::string thermal = root + "/sys/class/thermal";
  std::vector<std::string> paths;
  for (const std::string& entry : ListDirectory(thermal)) {
    if (!absl::StartsWith(entry, "thermal_zone")) {
      continue;
    }
    const std::string directory = absl::StrCat(thermal, "/", entry);
    const std::string type = ReadText(directory + "/type").value_or("");
    // PMIC-Die prints a constant; thermal-fan-est is a weighted mean that the fan is driven by.
    if (type == "PMIC-Die" || type == "thermal-fan-est") {
      continue;
    }
    paths.push_back(directory + "/temp");
  }
  if (paths.empty()) {
    return absl::NotFoundError("no thermal zone under /sys/class/thermal");
  }
  return std::make_unique<ThermalZones>(std::move(paths));
}

}  // namespace wattle::telemetry
