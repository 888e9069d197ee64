// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The optimizers of training: AdamW, AdamW with 8-bit moments, and Adafactor, one parameter after
// the other. On the CPU the kernels compute (kernels/adamw.h, adamw_8bit.h, adafactor.h), elsewhere
// plain ATen. Weight decay is decoupled and applies to matrices and tables, not to biases and
// norms. The bits do not depend on the number of threads. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_OPTIMIZER_H_
#define WATTLE_WORKER_ENGINE_TRAIN_OPTIMIZER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include <ATen/core/Tensor.h>

#include "models/optimizer_state.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/kernels/adamw.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/train/method_settings.h"

namespace wattle::engine {

// The levels of 8-bit moments' codes: float [256] each, on the device of the moments.
struct MomentLevels {
  at::Tensor first;
  at::Tensor second;
};

// State that an optimizer keeps from step to step, initially zero.
struct OptimizerState {
  v1::Optimizer optimizer = v1::OPTIMIZER_ADAMW;
  // For each parameter the tensors of models::OptimizerTensors, in their order, float or uint8;
  // empty for a parameter that is not trained.
  std::vector<std::vector<at::Tensor>> tensors;
  at::Tensor region;           // uint8, the memory of all of these
  uint64_t rounding_seed = 0;  // for stochastic rounding of BF16 values
  MomentLevels levels;         // see DeviceOperations::LevelsOfMoments
};

// layout: of the trainable parameters.
OptimizerState MakeOptimizerState(v1::Optimizer optimizer, const std::vector<Parameter>& parameters,
                                  const ArenaLayout& layout, at::Device device);

// √Σ g², accumulated in double precision on the host; independent of the number of threads.
DeviceNumber GradientNorm(const at::Tensor& gradients);

// The factor that limits a gradient of this norm to clip_norm.
double ClipScale(const AdamWSettings& settings, double gradient_norm);

// On a device and without waiting: ClipScale(scaled_norm / loss_scale) / loss_scale, float [1], and
// -1 if the loss or the norm is not finite. Both numbers must be on the same device.
at::Tensor ClipScaleOnDevice(const AdamWSettings& settings, double loss_scale,
                             const DeviceNumber& loss, const DeviceNumber& scaled_norm);

// The parameters that a step updates, and the values of each: float, or bfloat16.
struct UpdatedValues {
  const std::vector<Parameter>& parameters;
  const std::vector<at::Tensor>& values;
};

// Gradients in a separate arena.
struct GradientArena {
  const ArenaLayout& layout;
  at::Tensor arena;
};

// Updates some of the parameters that have gradients. BF16 values are updated as FP32 numbers and
// rounded stochastically, by bits of the seed, the step, the parameter and the element.
// step.weight_decay applies to parameters that decay; Adafactor reads only number, rate, decay and
// scale of `step`. decided: see DeviceOperations::Update.
void UpdateSome(const kernels::AdamWStep& step, const UpdatedValues& values,
                const GradientArena& gradients, absl::Span<const size_t> parameters,
                OptimizerState& state, const at::Tensor& decided = {});

// Updates every parameter that has gradients.
void UpdateParameters(const kernels::AdamWStep& step, const UpdatedValues& values,
                      const GradientArena& gradients, OptimizerState& state,
                      const at::Tensor& decided = {});

// One parameter, its gradients and its state, in the parameter's shape.
struct UpdatedParameter {
  at::Tensor weights;
  at::Tensor gradients;
  const std::vector<at::Tensor>& state;
  bool decays = true;                   // whether the step's weight decay applies
  kernels::RandomStream rounding = {};  // for BF16 weights
  MomentLevels levels = {};             // see DeviceOperations::LevelsOfMoments
};

// The step for this parameter, without decay if the parameter does not decay.
kernels::AdamWStep StepOf(const kernels::AdamWStep& step, const UpdatedParameter& parameter);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_OPTIMIZER_H_
