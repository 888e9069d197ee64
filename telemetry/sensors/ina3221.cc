// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/ina3221.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/status_macros.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

// The chip has three channels. in4..in6 are shunt voltages in µV, in7 their sum, curr4 the sum of
// the currents: none is a rail, although in7 has a label.
constexpr int kChannels = 3;
// 512 averages x 3 channels x 280 µs, as NVIDIA's boot script sets it on JetPack 5; where the
// driver does not tell.
constexpr absl::Duration kDefaultRefresh = absl::Milliseconds(430);

std::vector<std::string> ChipDirectories(const std::string& root) {
  std::vector<std::string> chips;
  const std::string hwmon = root + "/sys/class/hwmon";
  for (const std::string& entry : ListDirectory(hwmon)) {
    const std::string directory = absl::StrCat(hwmon, "/", entry);
    const absl::StatusOr<std::string> name = ReadText(directory + "/name");
    if (name.ok() && *name == "ina3221") {
      chips.push_back(directory);
    }
  }
  return chips;
}

bool IsModuleInput(const Ina3221Rail& rail) {
  return rail.label == "VDD_IN" || rail.label == "POM_5V_IN";
}

// On the AGX Orin this rail hangs below VIN_SYS_5V0, so it is already in the sum; tegrastats leaves
// it out too.
bool IsInsideAnother(const Ina3221Rail& rail) {
  return rail.label == "VDDQ_VDD2_1V8AO";
}

class Ina3221 final : public PowerSensor {
 public:
  Ina3221(PowerSensorInfo info, std::vector<Ina3221Rail> rails)
      : info_(std::move(info)), rails_(std::move(rails)) {}
  [[nodiscard]] const PowerSensorInfo& info() const override { return info_; }

  absl::StatusOr<PowerReading> Read(Monotonic /*at*/) override {
    double watts = 0.0;
    for (const Ina3221Rail& rail : rails_) {
      WATTLE_ASSIGN_OR_RETURN(const int64_t millivolts, ReadInteger(rail.voltage_path));
      WATTLE_ASSIGN_OR_RETURN(const int64_t milliamperes, ReadInteger(rail.current_path));
      watts += static_cast<double>(millivolts) * static_cast<double>(milliamperes) * 1e-6;
    }
    return PowerReading(Watts(watts));
  }

 private:
  PowerSensorInfo info_;
  std::vector<Ina3221Rail> rails_;
};

}  // namespace

std::vector<Ina3221Rail> FindIna3221Rails(const std::string& root) {
  std::vector<Ina3221Rail> rails;
  for (const std::string& chip : ChipDirectories(root)) {
    for (int channel = 1; channel <= kChannels; ++channel) {
      const absl::StatusOr<std::string> label =
          ReadText(absl::StrCat(chip, "/in", channel, "_label"));
      if (!label.ok() || label->empty() || *label == "NC") {
        continue;
      }
      const absl::StatusOr<int64_t> enabled =
          ReadInteger(absl::StrCat(chip, "/in", channel, "_enable"));
      if (enabled.ok() && *enabled == 0) {
        continue;
      }
      const std::string current = absl::StrCat(chip, "/curr", channel, "_input");
      if (absl::IsNotFound(ReadText(current).status())) {
        continue;
      }
      rails.push_back({*label, absl::StrCat(chip, "/in", channel, "_input"), current});
    }
  }
  std::sort(rails.begin(), rails.end(),
            [](const auto& a, const auto& b) { return a.label < b.label; });
  return rails;
}

absl::StatusOr<std::unique_ptr<PowerSensor>> OpenIna3221(const std::string& root) {
  std::vector<Ina3221Rail> rails = FindIna3221Rails(root);
  if (rails.empty()) {
    return absl::NotFoundError("no INA3221 with a connected rail under /sys/class/hwmon");
  }
  PowerSensorInfo info = {.source = EnergySource::kIna3221, .refresh_period = kDefaultRefresh};
  for (const std::string& chip : ChipDirectories(root)) {
    const absl::StatusOr<int64_t> interval = ReadInteger(chip + "/update_interval");
    if (interval.ok() && *interval > 0) {
      info.refresh_period = absl::Milliseconds(*interval);
    }
  }
  const auto module = std::find_if(rails.begin(), rails.end(), IsModuleInput);
  if (module != rails.end()) {
    info.scope = "module";
    rails = {*module};
  } else {
    info.scope = "rails_sum";
    rails.erase(std::remove_if(rails.begin(), rails.end(), IsInsideAnother), rails.end());
  }
  info.name = absl::StrCat("ina3221 ",
                           absl::StrJoin(rails, "+", [](std::string* out, const Ina3221Rail& rail) {
                             out->append(rail.label);
                           }));
  return std::make_unique<Ina3221>(std::move(info), std::move(rails));
}

}  // namespace wattle::telemetry
