// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The learning rate of a step: linear warm-up from 0, then linear or cosine decay to 0 at the last
// step, or constant. Pure.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_SCHEDULE_H_
#define WATTLE_WORKER_ENGINE_TRAIN_SCHEDULE_H_

#include <cstdint>

namespace wattle::engine {

enum class LearningRateShape { kLinear, kCosine, kConstant };

struct LearningRateSchedule {
  double peak = 5e-5;
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  LearningRateShape shape = LearningRateShape::kLinear;
};

// step: from 1. Warm-up steps have peak * step / (warmup_steps + 1), so that no step has rate 0;
// the decay reaches 0 one step after the last, so that the last step is not wasted.
double LearningRateAt(const LearningRateSchedule& schedule, int64_t step);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_SCHEDULE_H_
