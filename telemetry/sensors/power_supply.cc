// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernel's power_supply class (ABI/testing/sysfs-class-power): batteries and small UPSs of the
// system itself. The class also lists mice, headsets and USB-C ports, which are left out. Every
// attribute may be missing. The sign of the current has three conventions, so the direction comes
// from `status`.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"
#include "telemetry/sensors/voltage_curve.h"

namespace wattle::telemetry {
namespace {

constexpr Setting kPowerSupplySettings[] = {
    {.name = "name", .meaning = "of the battery in /sys/class/power_supply; absent: every one"},
    kChemistrySetting,
    kCellsSetting,
    kCapacitySetting,
    kResistanceSetting,
};

std::optional<double> Attribute(const std::string& directory, const char* name) {
  const absl::StatusOr<int64_t> value = ReadInteger(absl::StrCat(directory, "/", name));
  return value.ok() ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

std::string TextAttribute(const std::string& directory, const char* name) {
  return ReadText(absl::StrCat(directory, "/", name)).value_or("");
}

enum class Direction { kCharging, kDischarging, kUnknown };

// Magnitude of the power at the battery's terminals; nullopt if the gauge has neither power nor
// both current and voltage.
std::optional<Watts> TerminalPower(const std::string& directory) {
  if (const auto microwatts = Attribute(directory, "power_now")) {
    return Watts(std::abs(*microwatts) * 1e-6);
  }
  const auto microvolts = Attribute(directory, "voltage_now");
  const auto microamperes = Attribute(directory, "current_now");
  if (!microvolts || !microamperes) {
    return std::nullopt;
  }
  return Watts(*microvolts * 1e-6 * std::abs(*microamperes) * 1e-6);
}

Direction DirectionOf(const std::string& directory) {
  const std::string status = TextAttribute(directory, "status");
  if (status == "Discharging") {
    return Direction::kDischarging;
  }
  if (status == "Charging" || status == "Full" || status == "Not charging") {
    return Direction::kCharging;
  }
  // If the status is unknown, the sign decides: since 5.10 the kernel's convention is that negative
  // means discharging. A magnitude without a sign decides nothing.
  const auto microamperes = Attribute(directory, "current_now");
  return microamperes && *microamperes < 0 ? Direction::kDischarging : Direction::kUnknown;
}

std::optional<Joules> Capacity(const std::string& directory) {
  for (const char* name : {"energy_full", "energy_full_design"}) {
    if (const auto microwatt_hours = Attribute(directory, name)) {
      return FromWattHours(*microwatt_hours * 1e-6);
    }
  }
  // The nominal voltage is closer to the mean of a discharge than the present voltage.
  auto microvolts = Attribute(directory, "voltage_min_design");
  if (!microvolts) {
    microvolts = Attribute(directory, "voltage_now");
  }
  for (const char* name : {"charge_full", "charge_full_design"}) {
    const auto microampere_hours = Attribute(directory, name);
    if (microampere_hours && microvolts) {
      return FromWattHours(*microampere_hours * 1e-6 * *microvolts * 1e-6);
    }
  }
  return std::nullopt;
}

// energy and charge have finer steps than the whole percents of `capacity`.
std::optional<Fraction> StateOfCharge(const std::string& directory) {
  for (const auto& [now, full] :
       {std::pair("energy_now", "energy_full"), std::pair("charge_now", "charge_full")}) {
    const auto stored = Attribute(directory, now);
    const auto whole = Attribute(directory, full);
    if (stored && whole && *whole > 0) {
      return Fraction(std::min(1.0, std::max(0.0, *stored / *whole)));
    }
  }
  const auto percent = Attribute(directory, "capacity");
  if (percent && *percent >= 0 && *percent <= 100) {
    return Fraction(*percent / 100);
  }
  return std::nullopt;
}

std::vector<std::string> BatteryDirectories(const std::string& root) {
  const std::string supplies = root + "/sys/class/power_supply";
  std::vector<std::string> batteries;
  for (const std::string& entry : ListDirectory(supplies)) {
    const std::string directory = absl::StrCat(supplies, "/", entry);
    const std::string type = TextAttribute(directory, "type");
    const bool own = TextAttribute(directory, "scope") != "Device";  // not a mouse's battery
    if ((type == "Battery" || type == "UPS") && own &&
        Attribute(directory, "present").value_or(1) != 0) {
      batteries.push_back(directory);
    }
  }
  return batteries;
}

class PowerSupply final : public Source {
 public:
  // only: the device has no other battery, so this battery's power is the device's. pack: the
  // settings of the battery. Its voltage is used only if the battery reports no charge.
  PowerSupply(std::string directory, const std::string& name, bool only,
              const std::optional<BatteryPack>& pack, double resistance_ohms)
      : directory_(std::move(directory)), resistance_ohms_(resistance_ohms) {
    if (!StateOfCharge(directory_)) {
      pack_ = pack;
    }
    info_ = {.name = absl::StrCat("power_supply ", name),
             .energy_source = v1::ENERGY_SOURCE_POWER_SUPPLY,
             .scope = "battery",
             .rank = 40,
             .plausible_max = Watts(500),
             .error_ratio = 0.05,
             .steady_max = absl::Minutes(2),  // ACPI's batteries measure once a minute
             // Fuel gauges are off by a few percent, which includes the steps of whole percents.
             .gauge_error = Fraction(0.05)};
    info_.channels.push_back({.name = name,
                              .file = directory_,
                              .metric = "wattle_battery_charge_ratio",
                              .help = "State of charge of one battery, 0 to 1.",
                              .gauge = true});
    info_.channels.push_back({.name = name,
                              .file = directory_,
                              .metric = "wattle_battery_discharge_watts",
                              .help = "Power that one battery gives; absent while it charges.",
                              .in_total = only});
    if (pack_) {
      info_.gauge_error = VoltageChargeError(pack_->chemistry);
      info_.gauge_rank = 50;
      info_.charge_step = info_.gauge_error;
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    const Direction direction = DirectionOf(directory_);
    const std::optional<Watts> power = TerminalPower(directory_);
    std::vector<Reading> readings;
    absl::StatusOr<ChargeState> told = Charge(direction, power);
    if (!told.ok() && !absl::IsNotFound(told.status())) {
      return told.status();
    }
    if (told.ok()) {
      ChargeState& state = *told;
      state.charging = direction == Direction::kCharging;
      state.discharging = direction == Direction::kDischarging;
      if (power && direction == Direction::kDischarging) {
        state.draw = *power;
      } else if (power && direction == Direction::kCharging) {
        state.draw = -*power;
      }
      readings.push_back({0, state, now});
    }
    if (power && direction == Direction::kDischarging) {
      readings.push_back({1, *power, now});
    }
    if (readings.empty()) {
      return absl::UnavailableError(
          absl::StrCat(directory_, ": tells neither charge nor power now"));
    }
    return readings;
  }

 private:
  // The charge without direction and draw, which the caller adds. Errors: kNotFound if the battery
  // reports none now.
  [[nodiscard]] absl::StatusOr<ChargeState> Charge(Direction direction,
                                                   const std::optional<Watts>& power) const {
    const auto microvolts = Attribute(directory_, "voltage_now");
    if (pack_ && microvolts) {
      const double volts = *microvolts * 1e-6;
      if (!power || direction == Direction::kUnknown || volts <= 0) {
        return ChargeFromVoltage(*pack_, volts);
      }
      const double amperes = power->value() / volts;
      return ChargeFromVoltage(*pack_, volts,
                               direction == Direction::kDischarging ? amperes : -amperes,
                               resistance_ohms_);
    }
    if (const std::optional<Fraction> charge = StateOfCharge(directory_)) {
      return ChargeState{.state_of_charge = *charge, .capacity = Capacity(directory_)};
    }
    return absl::NotFoundError("no charge");
  }

  std::string directory_;
  std::optional<BatteryPack> pack_;
  double resistance_ohms_;
  SourceInfo info_;
};

// One source for each battery. Its charge is always a reading. Its power is a reading, and the
// device's power, only while the battery discharges.
// entries: the chemistry of batteries that report voltage and no charge; an entry without `name`
// applies to every battery. A charge that the battery reports itself takes precedence.
std::vector<Candidate> DiscoverPowerSupplies(const std::string& root,
                                             const std::vector<SourceSettings>& entries) {
  const std::vector<std::string> directories = BatteryDirectories(root);
  std::vector<Candidate> found;
  for (const std::string& directory : directories) {
    const std::string name = directory.substr(directory.rfind('/') + 1);
    const auto entry = std::find_if(entries.begin(), entries.end(), [&name](const auto& one) {
      return one.Text("name", name) == name;
    });
    const bool said = entry != entries.end();
    found.push_back(
        {.name = absl::StrCat("power_supply ", name),
         .source = std::make_unique<PowerSupply>(directory, name, directories.size() == 1,
                                                 said ? PackOf(*entry) : std::nullopt,
                                                 said ? entry->Number("resistance_ohms", 0) : 0)});
  }
  return found;
}

}  // namespace

extern const SourceKind kPowerSupplyKind = {"power_supply", kPowerSupplySettings,
                                            DiscoverPowerSupplies};

}  // namespace wattle::telemetry
