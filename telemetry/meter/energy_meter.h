// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Readings to joules: the trapezoid of sampled power, or the difference of energy counters. Energy
// is credited when a reading comes, for the time since the reading before; marks split that time
// where the load is known to have changed. So no increment is ever below zero, and the increments
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

// How the present source measures.
struct MeterSettings {
  absl::Duration cadence = absl::Seconds(1);  // how often the source has a new value
  // Whether a value is the mean since the value before (an INA3221 in continuous mode), so that
  // nothing falls between two samples.
  bool averages = false;
  // No device of this kind draws more; a reading beyond it is a fault of the sensor.
  Watts plausible_max = Watts(1000);
  double error_ratio = 0.0;  // stated error of a value
  Watts error_floor{};       // stated error that does not grow with the value
};

// One energy counter of several that add up to the device (RAPL has one for each package).
struct CounterValue {
  Joules value{};
  Joules modulus{};  // the counter starts again from 0 here; 0: not known
};

class EnergyMeter {
 public:
  // start: nothing before is this meter's.
  EnergyMeter(const MeterSettings& settings, Monotonic start);

  // From now on readings come from another source. What was measured stays; the time from the last
  // reading to the first of the new source is held at the power on each side, as at a mark.
  void Switch(const MeterSettings& settings);

  // A reading taken at `at`. marks: rising instants after settled() and before `at`; the load is
  // held on both sides of a mark instead of being drawn as a slope across it.
  // Returns marks.size() + 1 increments, for the pieces of time between settled(), the marks and
  // `at`; none where the reading is not used: it is not after the last one, not a finite number, or
  // more than the device can draw. Then its time is left to the next reading.
  std::vector<EnergyIncrement> AddPower(Monotonic at, Watts power,
                                        absl::Span<const Monotonic> marks);
  // The same for counters. A counter that went back has wrapped if its modulus is known and the
  // difference then is one that the device can draw; else it was reset and the time is missing.
  std::vector<EnergyIncrement> AddCounters(Monotonic at, absl::Span<const CounterValue> counters,
                                           absl::Span<const Monotonic> marks);

  // Waits no longer for a reading: the time up to `at` is missing, and the next reading begins
  // anew.
  std::vector<EnergyIncrement> GiveUp(Monotonic at, absl::Span<const Monotonic> marks);
  // For how long after settled() to wait before GiveUp: the gap rule of a power sensor,
  // max(3 cadences, 2.5 s); a minute of a counter, which bridges gaps.
  [[nodiscard]] absl::Duration patience() const;

  // Up to here everything is credited.
  [[nodiscard]] Monotonic settled() const { return settled_; }
  // As of the last reading; of a counter the mean since the one before. Absent after GiveUp.
  [[nodiscard]] std::optional<Watts> power() const { return last_power_; }
  // Readings that no device of this kind can give.
  [[nodiscard]] int64_t implausible_readings() const { return implausible_readings_; }

 private:
  std::vector<absl::Duration> Pieces(Monotonic at, absl::Span<const Monotonic> marks) const;
  std::vector<EnergyIncrement> Missing(Monotonic at, absl::Span<const Monotonic> marks);
  void Describe(EnergyIncrement* increment, absl::Duration length) const;
  std::optional<Joules> Difference(absl::Span<const CounterValue> counters,
                                   absl::Duration length) const;

  // The level and the spread of the last samples.
  struct Spread {
    Watts mean{};
    double variance = 0;  // W²
    void Add(Watts power);
  };
  [[nodiscard]] double HiddenVariance(double step_watts) const;

  MeterSettings settings_;
  Monotonic settled_;
  bool contiguous_ = false;  // a reading was taken at settled_
  bool switched_ = false;    // since that reading
  std::optional<Watts> last_power_;
  std::vector<CounterValue> last_counters_;
  bool counts_ = false;  // the source is a counter
  Spread spread_;
  int64_t implausible_readings_ = 0;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_METER_ENERGY_METER_H_
