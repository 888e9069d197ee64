// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Power rails of Jetson boards by INA3221 chips, in both layouts of NVIDIA's kernels: the hwmon
// driver `ina3221` of JetPack 5 and 6 (the kernel's hwmon/ina3221.rst), where power is inN_input
// [mV] × currN_input [mA], and the iio driver `ina3221x` of JetPack 4. All chips of a board are one
// source. The board's total is the rail VDD_IN or POM_5V_IN, which includes the other rails.
// Without such a rail the total is the sum of the rails that no other rail includes.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

// The chip has three channels. in4..in6 are shunt voltages in µV, in7 is their sum, curr4 is the
// sum of the currents. None of these is a rail, although in7 has a label.
constexpr int kChannels = 3;
// 512 averages × 3 channels × 280 µs, NVIDIA's boot setting on JetPack 5; used if the driver does
// not report its interval.
constexpr absl::Duration kHwmonCadence = absl::Milliseconds(430);
// JetPack 4: 64 averages × 3 channels × 2.2 ms in continuous mode. Triggered mode makes one
// conversion for each read, without averages.
constexpr absl::Duration kIioCadence = absl::Milliseconds(422);
constexpr absl::Duration kIioTriggeredCadence = absl::Milliseconds(100);
// Offset of ±80 µV at a shunt of 5 mΩ is ±16 mA, at 5 V; gain 0.25 % (the chip's data sheet).
constexpr Watts kErrorFloor(0.08);
constexpr double kErrorRatio = 0.0025;

struct Rail {
  std::string label{};
  std::string millivolts{};    // path
  std::string milliamperes{};  // path; signed
  absl::Duration cadence{};
  bool averages = false;
};

bool IsConnected(const absl::StatusOr<std::string>& label) {
  return label.ok() && !label->empty() && *label != "NC";
}

std::vector<Rail> HwmonRails(const std::string& chip) {
  const absl::StatusOr<int64_t> interval = ReadInteger(chip + "/update_interval");
  const absl::StatusOr<int64_t> samples = ReadInteger(chip + "/samples");
  std::vector<Rail> rails;
  for (int channel = 1; channel <= kChannels; ++channel) {
    const absl::StatusOr<std::string> label =
        ReadText(absl::StrCat(chip, "/in", channel, "_label"));
    const absl::StatusOr<int64_t> enabled =
        ReadInteger(absl::StrCat(chip, "/in", channel, "_enable"));
    const std::string current = absl::StrCat(chip, "/curr", channel, "_input");
    if (!IsConnected(label) || (enabled.ok() && *enabled == 0) ||
        absl::IsNotFound(ReadText(current).status())) {
      continue;
    }
    rails.push_back(
        {.label = *label,
         .millivolts = absl::StrCat(chip, "/in", channel, "_input"),
         .milliamperes = current,
         .cadence = interval.ok() && *interval > 0 ? absl::Milliseconds(*interval) : kHwmonCadence,
         .averages = !samples.ok() || *samples > 1});
  }
  return rails;
}

std::vector<Rail> IioRails(const std::string& chip) {
  const absl::StatusOr<int64_t> mode = ReadInteger(chip + "/running_mode");
  const bool triggered = mode.ok() && *mode == 0;
  std::vector<Rail> rails;
  for (int channel = 0; channel < kChannels; ++channel) {
    const absl::StatusOr<std::string> label = ReadText(absl::StrCat(chip, "/rail_name_", channel));
    if (IsConnected(label)) {
      rails.push_back({.label = *label,
                       .millivolts = absl::StrCat(chip, "/in_voltage", channel, "_input"),
                       .milliamperes = absl::StrCat(chip, "/in_current", channel, "_input"),
                       .cadence = triggered ? kIioTriggeredCadence : kIioCadence,
                       .averages = !triggered});
    }
  }
  return rails;
}

std::vector<Rail> FindRails(const std::string& root) {
  std::vector<Rail> rails;
  auto append = [&rails](std::vector<Rail> more) {
    std::move(more.begin(), more.end(), std::back_inserter(rails));
  };
  const std::string hwmon = root + "/sys/class/hwmon";
  for (const std::string& entry : ListDirectory(hwmon)) {
    const std::string chip = absl::StrCat(hwmon, "/", entry);
    const absl::StatusOr<std::string> name = ReadText(chip + "/name");
    if (name.ok() && *name == "ina3221") {
      append(HwmonRails(chip));
    }
  }
  const std::string driver = root + "/sys/bus/i2c/drivers/ina3221x";
  for (const std::string& device : ListDirectory(driver)) {
    for (const std::string& entry : ListDirectory(absl::StrCat(driver, "/", device))) {
      if (absl::StartsWith(entry, "iio:device") || entry == "iio_device") {
        append(IioRails(absl::StrCat(driver, "/", device, "/", entry)));
      }
    }
  }
  std::sort(rails.begin(), rails.end(),
            [](const auto& a, const auto& b) { return a.label < b.label; });
  return rails;
}

bool IsModuleInput(const Rail& rail) {
  return rail.label == "VDD_IN" || rail.label == "POM_5V_IN";
}

// On the AGX Orin this rail is below VIN_SYS_5V0 and therefore in the sum already; tegrastats
// leaves it out too.
bool IsInsideAnother(const Rail& rail) {
  return rail.label == "VDDQ_VDD2_1V8AO";
}

class Ina3221 final : public Source {
 public:
  explicit Ina3221(std::vector<Rail> rails) : rails_(std::move(rails)) {
    const bool has_input = std::any_of(rails_.begin(), rails_.end(), IsModuleInput);
    info_ = {.name = "ina3221",
             .cadence = absl::ZeroDuration(),
             .energy_source = v1::ENERGY_SOURCE_INA3221,
             .scope = has_input ? "module" : "rails_sum",
             .rank = 10,
             .averages = true,
             .plausible_max = Watts(300),
             .error_ratio = kErrorRatio};
    for (const Rail& rail : rails_) {
      const bool in_total = has_input ? IsModuleInput(rail) : !IsInsideAnother(rail);
      info_.channels.push_back({.name = rail.label,
                                .file = rail.milliamperes,
                                .metric = "wattle_rail_power_watts",
                                .help = "Power of one rail, latest sample.",
                                .in_total = in_total});
      if (in_total) {
        info_.cadence = std::max(info_.cadence, rail.cadence);
        info_.averages = info_.averages && rail.averages;
        info_.error_floor += kErrorFloor;
      }
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> readings;
    absl::Status failed;
    for (size_t i = 0; i < rails_.size(); ++i) {
      const absl::StatusOr<Watts> power = ReadRail(rails_[i]);
      if (power.ok()) {
        readings.push_back({i, *power, now});
      } else if (info_.channels[i].in_total) {
        failed = power.status();
      }
    }
    if (!failed.ok()) {
      return failed;
    }
    return readings;
  }

 private:
  static absl::StatusOr<Watts> ReadRail(const Rail& rail) {
    WATTLE_ASSIGN_OR_RETURN(const int64_t millivolts, ReadInteger(rail.millivolts));
    WATTLE_ASSIGN_OR_RETURN(const int64_t milliamperes, ReadInteger(rail.milliamperes));
    return Watts(static_cast<double>(millivolts) * static_cast<double>(milliamperes) * 1e-6);
  }

  SourceInfo info_;
  std::vector<Rail> rails_;
};

std::vector<Candidate> DiscoverIna3221(const std::string& root,
                                       const std::vector<SourceSettings>& /*entries*/) {
  std::vector<Candidate> found;
  std::vector<Rail> rails = FindRails(root);
  if (!rails.empty()) {
    found.push_back({.name = "ina3221", .source = std::make_unique<Ina3221>(std::move(rails))});
  }
  return found;
}

}  // namespace

extern const SourceKind kIna3221Kind = {"ina3221", {}, DiscoverIna3221};

}  // namespace wattle::telemetry
