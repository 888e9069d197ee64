// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Two slowly learned figures: the device's idle draw, and an upper price for a second without
// samples. Pure; one thread owns an object.
#ifndef WATTLE_TELEMETRY_METER_BASELINE_H_
#define WATTLE_TELEMETRY_METER_BASELINE_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "units/quantity.h"

namespace wattle::telemetry {

// The device's measured idle draw: the mean of samples while nothing runs and the load has settled.
// The mean slides, so that a failing fan or a new USB stick shows within minutes.
class IdleBaseline {
 public:
  IdleBaseline() = default;
  // Continues from an earlier run of the process.
  IdleBaseline(Watts power, int64_t samples) : mean_(power), samples_(samples) {}

  void Add(Watts power);
  // Absent until there are enough samples for a mean.
  [[nodiscard]] std::optional<Watts> power() const;
  [[nodiscard]] int64_t samples() const { return samples_; }

 private:
  Watts mean_;
  int64_t samples_ = 0;
};

// The highest recent power, which prices time without samples. The value falls towards the present
// power with a time constant of ten minutes of samples, so that one glitch does not price every
// later gap.
class RecentPeak {
 public:
  void Add(Watts power, absl::Duration length);
  [[nodiscard]] std::optional<Watts> power() const { return peak_; }

 private:
  std::optional<Watts> peak_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_METER_BASELINE_H_
