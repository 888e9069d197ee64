// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the device can be asked: watts or joules, degrees, charge. Three small interfaces, one file
// for each real source. A source that this board lacks is not there (kNotFound, once, at
// discovery); one that is there and fails answers with an error and never with 0. Each sensor
// belongs to one thread, the sampler's: a read may block for a second (an INA3221 waits for its
// conversion).
#ifndef WATTLE_TELEMETRY_SENSORS_SENSOR_H_
#define WATTLE_TELEMETRY_SENSORS_SENSOR_H_

#include <optional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// Where a power figure comes from. Named with every number that is shown.
enum class EnergySource {
  kIna3221,
  kPmic,
  kPowerSupply,
  kRapl,
  kIna2xx,
  kSmartPlug,
  kNvml,
  kModel,     // from a profile, no sensor: never measured
  kEmulated,  // an emulated board's sensor
};

// "ina3221", "pmic", "power_supply", "rapl", "ina2xx", "smart_plug", "nvml", "model", "emulated".
const char* EnergySourceName(EnergySource source);

struct PowerSensorInfo {
  std::string name{};  // for people: "ina3221 1-0040 VDD_IN"
  EnergySource source = EnergySource::kModel;
  // What the figure covers; figures of different scopes are never compared: "module",
  // "board_input", "rails_sum", "mains", "soc_rails", "battery", "estimated".
  std::string scope{};
  // How often the sensor has a new value: sampling faster adds nothing.
  absl::Duration refresh_period{};
  // Whether Read() may be asked about any instant up to now, in rising order (emulated ones only).
  bool reads_the_past = false;
};

// Power now, or a cumulative energy counter (its zero is arbitrary; wrap-around is already undone;
// a decrease means that the counter was reset).
using PowerReading = std::variant<Watts, Joules>;

class PowerSensor {
 public:
  virtual ~PowerSensor() = default;
  [[nodiscard]] virtual const PowerSensorInfo& info() const = 0;
  // at: the instant the reading is for, on the device's clock. Errors: kUnavailable (no value now:
  // channel disabled, bus busy), kPermissionDenied, kInternal (a value that cannot be).
  virtual absl::StatusOr<PowerReading> Read(Monotonic at) = 0;
};

class Thermometer {
 public:
  virtual ~Thermometer() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  virtual absl::StatusOr<Celsius> Read(Monotonic at) = 0;
};

struct BatteryReading {
  Fraction state_of_charge{};
  std::optional<Joules> capacity{};  // when full; absent where the gauge does not tell
  std::optional<Watts> draw{};       // > 0: discharging
  bool charging = false;
};

class BatteryGauge {
 public:
  virtual ~BatteryGauge() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  // By how much a reading may be off, as a share of the capacity. Part of the guard's margin.
  [[nodiscard]] virtual Fraction error() const = 0;
  virtual absl::StatusOr<BatteryReading> Read(Monotonic at) = 0;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SENSOR_H_
