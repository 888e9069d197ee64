// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/power_supply.h"

#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {
namespace {

std::optional<double> Attribute(const std::string& directory, const char* name) {
  const absl::StatusOr<int64_t> value = ReadInteger(absl::StrCat(directory, "/", name));
  return value.ok() ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

std::string TextAttribute(const std::string& directory, const char* name) {
  return ReadText(absl::StrCat(directory, "/", name)).value_or("");
}

enum class Direction { kCharging, kDischarging, kUnknown };

// Magnitude of the power at the battery's terminals; nullopt where the gauge has neither power nor
// current with voltage.
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
  // Unknown: the kernel's own convention since 5.10 is that negative means discharging. A
  // magnitude without a sign tells nothing.
  const auto microamperes = Attribute(directory, "current_now");
  return microamperes && *microamperes < 0 ? Direction::kDischarging : Direction::kUnknown;
}

std::optional<Joules> Capacity(const std::string& directory) {
  for (const char* name : {"energy_full", "energy_full_design"}) {
    if (const auto microwatt_hours = Attribute(directory, name)) {
      return FromWattHours(*microwatt_hours * 1e-6);
    }
  }
  // The nominal voltage is nearer to the mean of a discharge than the present one.
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

// energy or charge gives finer steps than the whole percents of `capacity`.
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

std::optional<std::string> FindBattery(const std::string& root) {
  const std::string supplies = root + "/sys/class/power_supply";
  for (const std::string& entry : ListDirectory(supplies)) {
    const std::string directory = absl::StrCat(supplies, "/", entry);
    const std::string type = TextAttribute(directory, "type");
    const bool own = TextAttribute(directory, "scope") != "Device";  // not a mouse's battery
    if ((type == "Battery" || type == "UPS") && own &&
        Attribute(directory, "present").value_or(1) != 0) {
      return directory;
    }
  }
  return std::nullopt;
}

std::string NameOf(const std::string& directory) {
  return "power_supply " + directory.substr(directory.rfind('/') + 1);
}

class PowerSupplyBattery final : public BatteryGauge {
 public:
  explicit PowerSupplyBattery(std::string directory)
      : directory_(std::move(directory)), name_(NameOf(directory_)) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  // Fuel gauges are off by a few percent; whole-percent steps are inside this.
  [[nodiscard]] Fraction error() const override { return Fraction(0.05); }

  absl::StatusOr<BatteryReading> Read(Monotonic /*at*/) override {
    const std::optional<Fraction> charge = StateOfCharge(directory_);
    if (!charge) {
      return absl::UnavailableError(absl::StrCat(directory_, ": tells no state of charge now"));
    }
    const Direction direction = DirectionOf(directory_);
    BatteryReading reading = {.state_of_charge = *charge,
                              .capacity = Capacity(directory_),
                              .charging = direction == Direction::kCharging};
    const std::optional<Watts> power = TerminalPower(directory_);
    if (power && direction == Direction::kDischarging) {
      reading.draw = *power;
    } else if (power && direction == Direction::kCharging) {
      reading.draw = -*power;
    }
    return reading;
  }

 private:
  std::string directory_;
  std::string name_;
};

class PowerSupplySensor final : public PowerSensor {
 public:
  explicit PowerSupplySensor(std::string directory) : directory_(std::move(directory)) {
    info_ = {.name = NameOf(directory_),
             .source = EnergySource::kPowerSupply,
             .scope = "battery",
             .refresh_period = absl::Seconds(1)};
  }
  [[nodiscard]] const PowerSensorInfo& info() const override { return info_; }

  absl::StatusOr<PowerReading> Read(Monotonic /*at*/) override {
    const std::optional<Watts> power = TerminalPower(directory_);
    if (!power) {
      return absl::UnavailableError(absl::StrCat(directory_, ": tells no power now"));
    }
    if (DirectionOf(directory_) != Direction::kDischarging) {
      return absl::UnavailableError(
          absl::StrCat(directory_, ": not discharging: its power is not the device's"));
    }
    return PowerReading(*power);
  }

 private:
  std::string directory_;
  PowerSensorInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BatteryGauge>> OpenPowerSupplyBattery(const std::string& root) {
  const std::optional<std::string> battery = FindBattery(root);
  if (!battery) {
    return absl::NotFoundError("no battery under /sys/class/power_supply");
  }
  return std::make_unique<PowerSupplyBattery>(*battery);
}

absl::StatusOr<std::unique_ptr<PowerSensor>> OpenPowerSupplySensor(const std::string& root) {
  const std::optional<std::string> battery = FindBattery(root);
  if (!battery || !TerminalPower(*battery)) {
    return absl::NotFoundError("no battery that tells its power under /sys/class/power_supply");
  }
  return std::make_unique<PowerSupplySensor>(*battery);
}

}  // namespace wattle::telemetry
