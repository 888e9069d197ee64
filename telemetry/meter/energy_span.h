// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Measured energy with its bounds. An increment is what the meter adds for one piece of time; a
// span is the sum of increments. Pure values.
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
  absl::Duration missing{};  // time without
  Joules measured{};         // of the covered time
  // The measured joules may be off by this much, in one direction for a whole span: the sensor's
  // stated error, and at a boundary the joules whose side is not known.
  Joules error{};
  // Variance, in J², of what the sensor may have missed between two samples. Independent from one
  // piece to the next.
  double variance = 0;
  std::optional<Watts> peak{};  // highest power in the covered time
  int64_t samples = 0;
};

struct EnergySpan {
  absl::Duration covered;
  absl::Duration missing;
  Joules gross;
  // Upper estimate for the missing time: a model, never measured.
  Joules missing_at_most;
  Joules error;         // sums of the increments'
  double variance = 0;  // J²
  Watts peak;
  std::optional<Celsius> temperature_max;
  // Absent: nothing on the device tells whether it throttles.
  std::optional<absl::Duration> throttled;
  int64_t samples = 0;

  // gap_price: what the device may have drawn, at most, in the increment's missing time.
  void Add(const EnergyIncrement& increment, Watts gap_price);
  void AddTemperature(Celsius temperature);
  void AddThrottling(absl::Duration length, bool throttled_then);
  [[nodiscard]] absl::Duration length() const { return covered + missing; }
  // Gross less idle power over the covered time, not below 0; gross where idle is not known.
  [[nodiscard]] Joules Net(std::optional<Watts> idle) const;
  [[nodiscard]] Fraction Coverage() const;  // 1 for an empty span
  [[nodiscard]] Watts MeanPower() const;    // of the covered time; 0 where there is none
  // The bounds of `gross`: the error, and three standard deviations of what fell between samples.
  [[nodiscard]] Joules Low() const;
  [[nodiscard]] Joules High() const;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_METER_ENERGY_SPAN_H_
