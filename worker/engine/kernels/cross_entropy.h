// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The loss of a row of logits and its gradient, computed in place. Every processor gives the same
// bits. Thread-safe on different rows.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_CROSS_ENTROPY_H_
#define WATTLE_WORKER_ENGINE_KERNELS_CROSS_ENTROPY_H_

#include <cstdint>

#include "worker/engine/kernels/instruction_set.h"

namespace wattle::kernels {

// Returns -log p[target] with p = softmax(logits), and replaces `logits` by gradient_scale (p -
// onehot(target)). NaN if a logit is not finite. target in [0, count).
double CrossEntropyAndGradient(float* logits, int64_t count, int64_t target, float gradient_scale,
                               const KernelTable& kernels = BestKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_CROSS_ENTROPY_H_
