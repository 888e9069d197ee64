// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/meter/baseline.h"

#include <algorithm>
#include <cmath>

namespace wattle::telemetry {
namespace {

// Samples of an idle mean. At one sample a second these are five seconds and eight minutes.
constexpr int64_t kIdleSamplesMin = 5;
constexpr int64_t kIdleWindow = 500;
constexpr absl::Duration kPeakTimeConstant = absl::Minutes(10);

}  // namespace

void IdleBaseline::Add(Watts power) {
  if (!std::isfinite(power.value())) {
    return;
  }
  // A running mean while the window fills, then an exponential one: the capped count limits the
  // weight of old samples.
  samples_ = std::min(samples_ + 1, kIdleWindow);
  mean_ += (power - mean_) / static_cast<double>(samples_);
}

std::optional<Watts> IdleBaseline::power() const {
  return samples_ >= kIdleSamplesMin ? std::optional<Watts>(mean_) : std::nullopt;
}

void RecentPeak::Add(Watts power, absl::Duration length) {
  const double kept = std::exp(-absl::FDivDuration(length, kPeakTimeConstant));
  // Rises at once and decays exponentially, so that a gap right after a peak is priced at the peak.
  peak_ = peak_ ? std::max(power, power + (*peak_ - power) * kept) : power;
}

}  // namespace wattle::telemetry
