// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Converts readings to joules: by the trapezoid rule for sampled power, by differences for energy
// counters. A reading credits the energy of the time since the reading before. Marks split that
// time where the load is known to have changed. No increment is ever below zero, and the increments
// of a counter add up to the counter. Pure: no clock, no file; times come with the readings. One
// thread owns an object.
#ifndef WATTLE_TELEMETRY_METER_ENERGY_METER_H_
#define WATTLE_TELEMETRY_METER_ENERGY_METER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "base/clock.h"
#include "telemetry/meter/energy_span.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// The properties of the present source.
struct MeterSettings {
  absl::Duration cadence = absl::Seconds(1);  // interval between new values of the source
  // Whether a value is the mean since the value before (an INA3221 in continuous mode). The meter
  // then misses nothing between two samples.
  bool averages = false;
  // Largest plausible power of the device. A higher reading is a fault of the sensor.
  Watts plausible_max = Watts(1000);
  double error_ratio = 0.0;  // stated error of a value
  Watts error_floor{};       // stated error that is independent of the value
};

// One energy counter of several that add up to the device (RAPL has one for each package).
struct CounterValue {
  Joules value{};
  Joules modulus{};  // the value at which the counter wraps to 0; 0: unknown
};

class EnergyMeter {
 public:
  // start: the meter counts nothing before this time.
  EnergyMeter(const MeterSettings& settings, Monotonic start);

  // Switches to another source and keeps the measured energy. From the last reading to the first of
  // the new source, the power is held constant on each side, as at a mark.
  void Switch(const MeterSettings& settings);

  // Adds a reading that was taken at `at`. marks: rising instants after settled() and before `at`.
  // On both sides of a mark the power is held constant instead of rising or falling across the
  // mark.
  // Returns marks.size() + 1 increments for the times between settled(), the marks and `at`.
  // Returns none for an unused reading: one that is not after the last one, not a finite number, or
  // more than the device can draw. The time of an unused reading is left to the next reading.
  std::vector<EnergyIncrement> AddPower(Monotonic at, Watts power,
                                        absl::Span<const Monotonic> marks);
  // AddPower for counters. A counter that fell has wrapped if its modulus is known and the device
  // can have drawn the difference. Otherwise the counter was reset, and the time is missing.
  std::vector<EnergyIncrement> AddCounters(Monotonic at, absl::Span<const CounterValue> counters,
                                           absl::Span<const Monotonic> marks);

  // Stops waiting for a reading: the time up to `at` is missing, and the next reading begins anew.
  std::vector<EnergyIncrement> GiveUp(Monotonic at, absl::Span<const Monotonic> marks);
  // How long to wait after settled() before GiveUp. For a power sensor the gap rule, max(3
  // cadences, 2.5 s); for a counter, which bridges gaps, a minute.
  [[nodiscard]] absl::Duration patience() const;

  // The time up to which all energy is credited.
  [[nodiscard]] Monotonic settled() const { return settled_; }
  // The power of the last reading; for a counter the mean since the reading before. Absent after
  // GiveUp.
  [[nodiscard]] std::optional<Watts> power() const { return last_power_; }
  // Number of readings that no device of this kind can give.
  [[nodiscard]] int64_t implausible_readings() const { return implausible_readings_; }

 private:
  [[nodiscard]] std::vector<absl::Duration> Pieces(Monotonic at,
                                                   absl::Span<const Monotonic> marks) const;
  std::vector<EnergyIncrement> Missing(Monotonic at, absl::Span<const Monotonic> marks);
  void Describe(EnergyIncrement* increment, absl::Duration length) const;
  [[nodiscard]] std::optional<Joules> Difference(absl::Span<const CounterValue> counters,
                                                 absl::Duration length) const;

  // Mean and variance of the last samples.
  struct Spread {
    Watts mean{};
    double variance = 0;  // W²
    void Add(Watts power);
  };
  [[nodiscard]] double HiddenVariance(double step_watts) const;

  MeterSettings settings_;
  Monotonic settled_;
  bool contiguous_ = false;  // a reading was taken at settled_
  bool switched_ = false;    // the source changed since that reading
  std::optional<Watts> last_power_;
  // The counters as they were first read, when the wait for a reading was given up, or when they
  // stood still after a step that nothing can have drawn: how long they have stood still is unknown
  // until they differ.
  std::vector<CounterValue> still_;
  std::vector<CounterValue> last_counters_;
  bool after_absurd_step_ = false;  // which led to last_counters_
  bool counts_ = false;             // the source is a counter
  Spread spread_;
  int64_t implausible_readings_ = 0;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_METER_ENERGY_METER_H_
