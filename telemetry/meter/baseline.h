// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Two slow figures that are learned from samples: what the device draws when it does nothing, and
// what a second without samples may have cost at most. Pure; one thread owns an object.
#ifndef WATTLE_TELEMETRY_METER_BASELINE_H_
#define WATTLE_TELEMETRY_METER_BASELINE_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "units/quantity.h"

namespace wattle::telemetry {

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

// The highest power of the last while, which prices time without samples. It falls towards the
// present power with a time constant of ten minutes of samples, so that one glitch does not price
// every later gap.
class RecentPeak {
 public:
  void Add(Watts power, absl::Duration length);
  [[nodiscard]] std::optional<Watts> power() const { return peak_; }

 private:
  std::optional<Watts> peak_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_METER_BASELINE_H_
