// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Measured energy with its bounds. An increment is the meter's result for one piece of time; a span
// is the sum of increments. Pure values.
#ifndef WATTLE_TELEMETRY_METER_ENERGY_SPAN_H_
#define WATTLE_TELEMETRY_METER_ENERGY_SPAN_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "units/quantity.h"

namespace wattle::telemetry {

// The energy of one piece of time. No field is ever below zero.
struct EnergyIncrement {
  absl::Duration covered{};  // time with valid samples
  absl::Duration missing{};  // time without valid samples
  Joules measured{};         // in the covered time
  // Largest error of the measured joules, in one direction for a whole span: the sensor's stated
  // error, and at a boundary the joules that may belong to either side.
  Joules error{};
  // Variance, in J², of the energy that the sensor may have missed between two samples. Pieces are
  // independent.
  double variance = 0;
  std::optional<Watts> peak{};  // highest power in the covered time
  int64_t samples = 0;
};

struct EnergySpan {
  absl::Duration covered;
  absl::Duration missing;
  Joules gross;
  // Upper estimate for the missing time. A model value, never measured.
  Joules missing_at_most;
  Joules error;         // sum of the increments' errors
  double variance = 0;  // J²
  Watts peak;
  std::optional<Celsius> temperature_max;
  // Absent: no sensor of the device reports throttling.
  std::optional<absl::Duration> throttled;
  int64_t samples = 0;

  // gap_price: the largest power that the device may have drawn in the increment's missing time.
  void Add(const EnergyIncrement& increment, Watts gap_price);
  // Discards the measurements since `then`, an earlier state of this span, and counts that time as
  // missing.
  void TakeBack(const EnergySpan& then, Watts gap_price);
  void AddTemperature(Celsius temperature);
  void AddThrottling(absl::Duration length, bool throttled_then);
  [[nodiscard]] absl::Duration length() const { return covered + missing; }
  // Gross energy minus idle power over the covered time, at least 0; gross energy if idle is
  // unknown.
  [[nodiscard]] Joules Net(std::optional<Watts> idle) const;
  [[nodiscard]] Fraction Coverage() const;  // 1 for an empty span
  [[nodiscard]] Watts MeanPower() const;    // over the covered time; 0 if it is empty
  // The bounds of `gross`: the error plus three standard deviations of the energy that fell between
  // samples.
  [[nodiscard]] Joules Low() const;
  [[nodiscard]] Joules High() const;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_METER_ENERGY_SPAN_H_
