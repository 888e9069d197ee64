// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// AdamW over the trainable parameters of a model. Weight decay is decoupled and applies to matrices
// and tables, not to biases and norms. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_OPTIMIZER_H_
#define WATTLE_WORKER_ENGINE_TRAIN_OPTIMIZER_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/adamw.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/train/adamw_settings.h"

namespace wattle::engine {

// float [layout.elements] each, for one layout of the trainable parameters.
struct OptimizerMoments {
  at::Tensor first;
  at::Tensor second;
};

OptimizerMoments ZeroMoments(const ArenaLayout& layout, at::Device device);

// √Σ g², accumulated in double precision; the same for any number of threads.
double GradientNorm(const at::Tensor& gradients);

// The parameters that a step updates, with the arena of their values.
struct UpdatedValues {
  const std::vector<Parameter>& parameters;
  const ArenaLayout& layout;  // of `arena`
  at::Tensor arena;
};

// One step over every trainable parameter; step.weight_decay applies to those that decay. layout:
// of gradients and moments.
void AdamWStep(const kernels::AdamWStep& step, const UpdatedValues& values,
               const ArenaLayout& layout, const at::Tensor& gradients,
               const OptimizerMoments& moments);

// The factor that brings a gradient of this norm to at most clip_norm.
double ClipScale(const AdamWSettings& settings, double gradient_norm);

// The plain-ATen form, for any device; the kernel is tested against it. `step` as for the kernel.
void AdamWPlain(const kernels::AdamWStep& step, const at::Tensor& weights,
                const at::Tensor& gradients, const OptimizerMoments& moments);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_OPTIMIZER_H_
