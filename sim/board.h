// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The truth of one simulated board: what it draws, how full its battery is, how hot it is; and its
// sensors, which can be silent, stuck or wrong. The worker sees the sensors alone, the invariants
// see the truth. Single-threaded.
#ifndef WATTLE_SIM_BOARD_H_
#define WATTLE_SIM_BOARD_H_

#include <optional>
#include <vector>

#include "base/clock.h"
#include "telemetry/sensors/source.h"
#include "units/quantity.h"

namespace wattle::sim {

struct BoardSettings {
  Watts idle{3.0};
  Watts work{12.0};
  std::optional<Joules> battery{};  // absent: mains
  Fraction charge{1.0};             // at the start
  Watts harvest_peak{};             // of a panel at noon
  double day_seconds = 86400.0;     // from one noon to the next
  double noon_seconds = 0.0;        // of the first one
  Fraction gauge_error{0.02};       // as the gauge states
  double gauge_bias = 0.0;          // of its readings, within the stated error
};

class Board {
 public:
  explicit Board(const BoardSettings& settings);

  // Moves energy, charge and heat along. Times: seconds of the world, never going back.
  void AdvanceTo(double at_seconds);
  void SetWorking(bool working) { working_ = working; }
  void SetPowered(bool powered) { powered_ = powered; }
  void SetClouds(double share) { sun_share_ = share; }  // of the harvest that is left
  void Recharge();                                      // full, from mains from now on
  void SetAmbient(Celsius ambient) { ambient_ = ambient; }

  [[nodiscard]] bool working() const { return working_; }
  [[nodiscard]] Watts power() const;
  [[nodiscard]] Joules energy() const { return energy_; }  // drawn since the start
  [[nodiscard]] double powered_seconds() const { return powered_seconds_; }
  [[nodiscard]] Joules work_energy() const { return work_energy_; }  // gross, while work runs
  [[nodiscard]] bool has_battery() const { return settings_.battery.has_value(); }
  [[nodiscard]] Fraction charge() const;
  [[nodiscard]] Celsius temperature() const { return temperature_; }
  [[nodiscard]] const BoardSettings& settings() const { return settings_; }

  // What is wrong with the sensors.
  struct SensorFaults {
    bool gauge_silent = false;
    bool gauge_sags = false;  // its next reading says empty
    std::optional<Fraction> gauge_says{};
    bool thermometer_silent = false;
  };
  SensorFaults sensors;

  // The sensors as the worker knows them: one source with a counter of the energy, a thermometer
  // and, on a battery, a gauge.
  [[nodiscard]] telemetry::SourceInfo Sensors() const;
  // What they tell now. A sensor that is silent is left out.
  [[nodiscard]] std::vector<telemetry::Reading> Read(Monotonic now);

 private:
  void Pass(double seconds);

  const BoardSettings settings_;
  double now_seconds_ = 0.0;
  bool working_ = false;
  bool powered_ = false;
  double powered_seconds_ = 0.0;
  bool on_mains_ = false;
  double sun_share_ = 1.0;
  Celsius ambient_{25.0};
  Celsius temperature_{25.0};
  Joules energy_{};
  Joules work_energy_{};
  Joules charge_{};
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_BOARD_H_
