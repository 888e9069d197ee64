// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One fused AdamW update (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019):
// one pass over weights, gradients and both moments, with the widest vectors of the processor.
// Every processor gives the same bits. Thread-safe on disjoint ranges.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ADAMW_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ADAMW_H_

#include <cstdint>

#include "worker/engine/kernels/instruction_set.h"

namespace wattle::kernels {

// The numbers of a step that are common to all parameters.
struct AdamWStep {
  int64_t step = 1;  // from 1: the bias corrections are 1 - beta^step
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;    // 0 for biases and norms
  double gradient_scale = 1.0;  // below 1 if the global norm is clipped
};

AdamWScalars ScalarsOf(const AdamWStep& step);

// The arrays of one parameter, `count` elements each; updated in place except the gradients.
struct AdamWState {
  float* weights = nullptr;
  const float* gradients = nullptr;
  float* first_moments = nullptr;
  float* second_moments = nullptr;
  int64_t count = 0;
};

// w ← w (1 - lr decay); m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; w ← w - lr m̂ / (√v̂ + ε),
// the formula of torch.optim.AdamW.
void AdamWUpdate(const AdamWStep& step, const AdamWState& state,
                 const KernelTable& kernels = BestKernels());

// Σ values[i]², in double precision.
double SumOfSquares(const float* values, int64_t count, const KernelTable& kernels = BestKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ADAMW_H_
