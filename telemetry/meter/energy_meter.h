// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Samples to joules. Trapezoid of sampled power, or difference of a hardware counter. A gap over
// max(3 refresh periods, 2.5 s) between power samples adds no measured energy and lowers coverage;
// an upper estimate of what it took is kept apart, labelled model. Counters bridge gaps. Pure: no
// clock, no file; times come with the samples. One thread owns an object.
#ifndef WATTLE_TELEMETRY_METER_ENERGY_METER_H_
#define WATTLE_TELEMETRY_METER_ENERGY_METER_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// What one step of the meter adds. Increments add up.
struct EnergyIncrement {
  absl::Duration covered{};     // time with valid samples
  absl::Duration missing{};     // time without
  Joules measured{};            // of the covered time
  Joules missing_at_most{};     // upper estimate for the missing time: a model, never measured
  std::optional<Watts> peak{};  // highest power in the covered time
  int64_t samples = 0;
};

class EnergyMeter {
 public:
  // refresh_period: the sensor's; sets the gap rule.
  explicit EnergyMeter(absl::Duration refresh_period);

  // Power at an instant. A sample that is not after the last one, or is not a finite number, adds
  // nothing. A negative one is kept as it is: an INA3221 on an idle rail shows one now and then.
  EnergyIncrement AddPower(Monotonic at, Watts power);

  // A counter's value (arbitrary zero). A decrease is a reset: that interval is missing.
  EnergyIncrement AddCounter(Monotonic at, Joules value);

  // The load is known to change at this instant, between two samples. What the power was before is
  // held until here and what it is after is taken back to here, instead of a slope across the
  // edge, so that the two sides can be told apart: the increment is of the time before.
  EnergyIncrement Boundary(Monotonic at);

  // There were no samples before `at` (the process was not there) for `length`: all missing.
  [[nodiscard]] EnergyIncrement Absent(absl::Duration length) const;

  [[nodiscard]] absl::Duration gap_limit() const { return gap_limit_; }
  // As of the latest sample; of a counter the mean since the one before.
  [[nodiscard]] std::optional<Watts> power() const { return last_power_; }
  [[nodiscard]] Watts peak() const { return peak_; }

 private:
  [[nodiscard]] EnergyIncrement Missing(absl::Duration length) const;

  absl::Duration gap_limit_;
  std::optional<Monotonic> settled_;  // up to here everything is added
  std::optional<Monotonic> last_at_;  // of the latest sample
  std::optional<Watts> last_power_;
  bool edge_since_sample_ = false;
  std::optional<Joules> last_counter_;
  Joules counted_ahead_;  // credited by Boundary() before the counter showed it
  Watts peak_;            // highest seen since the beginning
};

// Energy of a span: sums of increments.
struct EnergySpan {
  absl::Duration covered;
  absl::Duration missing;
  Joules gross;
  Joules missing_at_most;
  Watts peak;
  std::optional<Celsius> temperature_max;
  absl::Duration throttled;
  int64_t samples = 0;

  void Add(const EnergyIncrement& increment);
  void AddTemperature(Celsius temperature);
  [[nodiscard]] absl::Duration length() const { return covered + missing; }
  // Gross less idle power over the covered time, not below 0; gross where idle is not known.
  [[nodiscard]] Joules Net(std::optional<Watts> idle) const;
  [[nodiscard]] Fraction Coverage() const;  // 1 for an empty span
  [[nodiscard]] Watts MeanPower() const;    // of the covered time; 0 where there is none
};

// The device's measured idle draw: the mean of samples while nothing ran and the load had settled.
// A sliding mean, so that a fan that starts to fail or a new USB stick shows within minutes.
class IdleBaseline {
 public:
  IdleBaseline() = default;
  // From an earlier run of the process.
  IdleBaseline(Watts power, int64_t samples) : mean_(power), samples_(samples) {}

  void Add(Watts power);
  // Absent until there are enough samples to be a mean.
  [[nodiscard]] std::optional<Watts> power() const;
  [[nodiscard]] int64_t samples() const { return samples_; }

 private:
  Watts mean_;
  int64_t samples_ = 0;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_METER_ENERGY_METER_H_
