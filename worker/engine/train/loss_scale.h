// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The dynamic loss scale of training with FP16 factors, by the rule of PyTorch's GradScaler. The
// backward pass begins with the loss times the scale, so that small gradients are not below FP16's
// smallest numbers; the update divides by the scale. A non-finite gradient counts as an overflow:
// the step makes no update, and the scale is halved. After enough good steps in a row the scale is
// doubled. Scales are powers of two, so that neither product rounds.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_LOSS_SCALE_H_
#define WATTLE_WORKER_ENGINE_TRAIN_LOSS_SCALE_H_

#include <cstdint>

#include "absl/status/status.h"

namespace wattle::engine {

inline constexpr double kLossScaleGrowth = 2.0;
inline constexpr double kLossScaleBackoff = 0.5;

struct LossScaleSettings {
  double initial = 65536.0;        // a power of two
  int64_t growth_interval = 2000;  // good steps in a row
  // A gradient above FP16's range (65504) at a scale of 1 is not a small number that was scaled too
  // far.
  double minimum = 1.0;
};

// At a step boundary.
struct LossScale {
  double scale = 0.0;
  int64_t good_steps = 0;     // in a row, with this scale
  int64_t skipped_steps = 0;  // of the whole run
};

// Updates the scale after a step. finite: whether its gradient is. Errors: kAborted for a
// non-finite gradient at the minimum; `state` stays unchanged.
absl::Status EndStep(const LossScaleSettings& settings, bool finite, LossScale& state);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_LOSS_SCALE_H_
