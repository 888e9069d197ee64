// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/optimizer.h"

#include <utility>
#include <vector>

#include "worker/engine/device/device.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kRegionAlignment = 64;  // bytes: a cache line

}  // namespace

OptimizerState MakeOptimizerState(v1::Optimizer optimizer, const std::vector<Parameter>& parameters,
                                  const ArenaLayout& layout, at::Device device) {
  OptimizerState state;
  state.optimizer = optimizer;
  struct Place {
    models::OptimizerTensor tensor;
    int64_t offset = 0;
  };
  // Places first, then one allocation for the whole state: checkpoints and resets then handle one
  // region.
  std::vector<std::vector<Place>> places(parameters.size());
  int64_t size = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!layout.holds(i)) {
      continue;
    }
    for (models::OptimizerTensor& tensor :
         models::OptimizerTensors(optimizer, parameters[i].tensor.shape)) {
      const int64_t bytes = tensor.size_bytes();
      places[i].push_back({std::move(tensor), size});
      // Aligned to cache lines, so that threads on neighbouring tensors do not share one.
      size += (bytes + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment;
    }
  }
  state.region = ZeroArena(size, at::TensorOptions(at::kByte).device(device));
  if (optimizer == v1::OPTIMIZER_ADAMW_8BIT) {
    state.levels = OperationsOn(device).LevelsOfMoments(device);
  }
  state.tensors.resize(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    for (const Place& place : places[i]) {
      const at::Tensor bytes = state.region.narrow(0, place.offset, place.tensor.size_bytes());
      state.tensors[i].push_back(
          (place.tensor.in_bytes ? bytes : bytes.view(at::kFloat)).view(place.tensor.shape));
    }
  }
  return state;
}

DeviceNumber GradientNorm(const at::Tensor& gradients) {
  return OperationsOn(gradients).NormOf(gradients);
}

double ClipScale(const AdamWSettings& settings, double gradient_norm) {
  if (settings.clip_norm <= 0.0 || gradient_norm <= settings.clip_norm) {
    return 1.0;
  }
  return settings.clip_norm / gradient_norm;
}

at::Tensor ClipScaleOnDevice(const AdamWSettings& settings, double loss_scale,
                             const DeviceNumber& loss, const DeviceNumber& scaled_norm) {
  // The norm is that of scaled gradients; clipping applies to the true ones.
  const at::Tensor norm = scaled_norm.OnDevice() / loss_scale;
  at::Tensor scale = at::ones_like(norm);
  if (settings.clip_norm > 0.0) {
    scale = (norm.reciprocal() * settings.clip_norm).clamp_max(1.0);
  }
  // One test for both: the sum is finite only if norm and loss are.
  const at::Tensor finite = at::isfinite(norm + loss.OnDevice());
  // A negative scale tells the update kernels to change nothing, so that the host need not wait to
  // decide.
  return at::where(finite, scale / loss_scale, at::full_like(scale, -1.0)).to(at::kFloat).view({1});
}

kernels::AdamWStep StepOf(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  kernels::AdamWStep own = step;
  own.weight_decay = parameter.decays ? step.weight_decay : 0.0;
  return own;
}

namespace {

UpdatedParameter ParameterAt(const kernels::AdamWStep& step, const UpdatedValues& values,
                             const GradientArena& gradients, size_t parameter,
                             const OptimizerState& state) {
  return {.weights = values.values[parameter],
          .gradients = ArenaView(gradients.arena, gradients.layout, values.parameters, parameter),
          .state = state.tensors[parameter],
          .decays = values.parameters[parameter].decays(),
          // Keyed by step and parameter instead of a running counter, so that a resumed run draws
          // the same bits.
          .rounding = {.seed = state.rounding_seed,
                       .step = static_cast<uint64_t>(step.step),
                       .use = kernels::RandomUse::kWeightRounding,
                       .layer = static_cast<uint32_t>(parameter)},
          .levels = state.levels};
}

}  // namespace

void UpdateSome(const kernels::AdamWStep& step, const UpdatedValues& values,
                const GradientArena& gradients, absl::Span<const size_t> parameters,
                OptimizerState& state, const at::Tensor& decided) {
  std::vector<UpdatedParameter> updated;
  updated.reserve(parameters.size());
  for (const size_t parameter : parameters) {
    updated.push_back(ParameterAt(step, values, gradients, parameter, state));
  }
  OperationsOn(gradients.arena).Update(state.optimizer, step, decided, updated);
}

void UpdateParameters(const kernels::AdamWStep& step, const UpdatedValues& values,
                      const GradientArena& gradients, OptimizerState& state,
                      const at::Tensor& decided) {
  std::vector<size_t> parameters;
  for (size_t i = 0; i < values.parameters.size(); ++i) {
    if (gradients.layout.holds(i)) {
      parameters.push_back(i);
    }
  }
  UpdateSome(step, values, gradients, parameters, state, decided);
}

}  // namespace wattle::engine
