// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/schedule.h"

#include <algorithm>
#include <cmath>

namespace wattle::engine {

double LearningRateAt(const LearningRateSchedule& schedule, int64_t step) {
  if (step <= schedule.warmup_steps) {
    return schedule.peak * static_cast<double>(step) /
           static_cast<double>(schedule.warmup_steps + 1);
  }
  const int64_t decay_steps = std::max<int64_t>(1, schedule.total_steps - schedule.warmup_steps);
  const double done =
      static_cast<double>(step - schedule.warmup_steps - 1) / static_cast<double>(decay_steps);
  const double progress = std::clamp(done, 0.0, 1.0);
  switch (schedule.shape) {
    case LearningRateShape::kLinear:
      return schedule.peak * (1.0 - progress);
    case LearningRateShape::kCosine:
      return schedule.peak * 0.5 * (1.0 + std::cos(progress * 3.141592653589793));
    case LearningRateShape::kConstant:
      return schedule.peak;
  }
  return schedule.peak;
}

}  // namespace wattle::engine
