// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/parameters.h"

#include <cmath>
#include <utility>

#include <ATen/core/Tensor.h>

#include "base/check.h"
#include "models/family.h"
#include "worker/engine/device/device.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

template <typename Wanted>
ArenaLayout LayoutOf(const std::vector<Parameter>& parameters, Wanted wanted) {
  ArenaLayout layout;
  for (const Parameter& parameter : parameters) {
    if (!wanted(parameter)) {
      layout.offsets.push_back(ArenaLayout::kAbsent);
      continue;
    }
    layout.offsets.push_back(layout.elements);
    const int64_t count = parameter.tensor.element_count();
    layout.elements += (count + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
  }
  return layout;
}

}  // namespace

std::vector<Parameter> ParametersOf(const models::DecoderConfig& config) {
  std::vector<Parameter> parameters;
  for (models::ModelTensor& tensor : models::ModelTensors(config)) {
    parameters.push_back({.tensor = std::move(tensor)});
  }
  return parameters;
}

ArenaLayout ValueLayout(const std::vector<Parameter>& parameters) {
  return LayoutOf(parameters, [](const Parameter& parameter) { return parameter.in_arena(); });
}

ArenaLayout TrainableLayout(const std::vector<Parameter>& parameters) {
  return LayoutOf(parameters, [](const Parameter& parameter) {
    return !parameter.is_quantized() && parameter.trainable;
  });
}

ArenaLayout OnlyThose(ArenaLayout layout, const ArenaLayout& held) {
  for (size_t i = 0; i < layout.offsets.size(); ++i) {
    layout.offsets[i] = held.holds(i) ? layout.offsets[i] : ArenaLayout::kAbsent;
  }
  return layout;
}

void FreezeBelow(const models::DecoderConfig& config, int64_t layers,
                 std::vector<Parameter>& parameters) {
  for (Parameter& parameter : parameters) {
    parameter.trainable = models::TrainedWithLastLayers(config, layers, parameter.tensor);
  }
}

at::Tensor ZeroArena(int64_t elements, const at::TensorOptions& options) {
  return OperationsOn(options.device()).ZeroArena(elements, options);
}

at::Tensor ArenaView(const at::Tensor& arena, const ArenaLayout& layout,
                     const std::vector<Parameter>& parameters, size_t parameter) {
  WATTLE_CHECK(layout.holds(parameter), "the arena has room for this parameter");
  const models::ModelTensor& tensor = parameters[parameter].tensor;
  return arena.narrow(0, layout.offsets[parameter], tensor.element_count()).view(tensor.shape);
}

std::vector<at::Tensor> ArenaViews(const at::Tensor& arena, const ArenaLayout& layout,
                                   const std::vector<Parameter>& parameters) {
  std::vector<at::Tensor> views(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (layout.holds(i)) {
      views[i] = ArenaView(arena, layout, parameters, i);
    }
  }
  return views;
}

DecoderWeights WeightsOver(const models::DecoderConfig& config,
                           const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                           const at::Tensor& arena) {
  DecoderWeights weights;
  weights.blocks.resize(config.layers.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!layout.holds(i)) {
      continue;
    }
    const models::ModelTensor& tensor = parameters[i].tensor;
    const at::Tensor view = ArenaView(arena, layout, parameters, i);
    if (IsMatrixSlot(tensor)) {
      MatrixWeights& matrix = MatrixAt(weights, tensor);
      matrix.value = view;
      matrix.matrix.rows = tensor.shape[0];
      matrix.matrix.columns = tensor.shape[1];
    } else {
      TensorAt(weights, tensor) = view;
    }
  }
  TieHead(config, weights);
  return weights;
}

void ClearGradients(const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                    const at::Tensor& arena, DecoderWeights& gradients) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!layout.holds(i)) {
      continue;
    }
    const models::ModelTensor& tensor = parameters[i].tensor;
    // If tied, the table's gradient is the head's, which the pass computes first.
    const bool is_head = tensor.slot == models::Slot::kTokens &&
                         gradients.head.value.is_same(gradients.tokens.value);
    if (is_head) {
      gradients.head.unwritten = true;
    } else if (IsMatrixSlot(tensor) && tensor.slot != models::Slot::kTokens) {
      MatrixAt(gradients, tensor).unwritten = true;
    } else {
      ArenaView(arena, layout, parameters, i).zero_();
    }
  }
}

void FillRandom(const models::DecoderConfig& config, const std::vector<Parameter>& parameters,
                const ArenaLayout& layout, uint64_t seed, at::Tensor& arena) {
  const models::Family& family = models::FamilyOf(config);
  const auto deviation = static_cast<float>(family.initial_deviation);
  const float residual =
      family.scaled_residual_initialization
          ? deviation / std::sqrt(2.0F * static_cast<float>(config.layer_count()))
          : deviation;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const models::ModelTensor& tensor = parameters[i].tensor;
    at::Tensor view = ArenaView(arena, layout, parameters, i);
    if (tensor.is_matrix()) {
      const bool ends_in_stream =
          tensor.slot == models::Slot::kAttentionOutput || tensor.slot == models::Slot::kDown;
      kernels::RandomNormal({.seed = seed,
                             .use = kernels::RandomUse::kInitialization,
                             .layer = static_cast<uint32_t>(i)},
                            ends_in_stream ? residual : deviation, view.numel(),
                            view.data_ptr<float>());
    } else if (tensor.part == models::Part::kWeight &&
               config.norm != models::Norm::kRmsNormPlusOne) {
      view.fill_(1.0);
    }
  }
}

}  // namespace wattle::engine
