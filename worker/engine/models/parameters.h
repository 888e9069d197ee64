// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parameters of a model and the ownership of their bytes. FP32 parameters are adjacent in one
// arena of floats; a matrix in another format owns its packed bytes. Gradients and optimizer
// moments are in separate arenas, which have room only for the trainable parameters, so that frozen
// ones cost no gradient. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_MODELS_PARAMETERS_H_
#define WATTLE_WORKER_ENGINE_MODELS_PARAMETERS_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"
#include "models/tensors.h"
#include "worker/engine/kernels/weight_matrix.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

struct Parameter {
  models::ModelTensor tensor;         // name, shape, role
  kernels::WeightFormat format = {};  // FP32 in the arena, or packed
  bool trainable = true;              // only FP32 and BF16

  [[nodiscard]] bool in_arena() const { return format.scheme == kernels::WeightScheme::kFloat32; }
  [[nodiscard]] bool is_bf16() const { return format.scheme == kernels::WeightScheme::kBf16; }
  [[nodiscard]] bool is_quantized() const { return !in_arena() && !is_bf16(); }
  // Weight decay applies to matrices and tables, not to biases and norms.
  [[nodiscard]] bool decays() const { return tensor.is_matrix(); }
};

// Every parameter of a model, FP32 and trainable, in the order of the files.
[[nodiscard]] std::vector<Parameter> ParametersOf(const models::DecoderConfig& config);

// Parameters begin at multiples of this many floats: a cache line.
inline constexpr int64_t kArenaAlignment = 16;

// The places of some parameters in an arena of floats.
struct ArenaLayout {
  static constexpr int64_t kAbsent = -1;
  std::vector<int64_t> offsets;  // one per parameter, in floats; kAbsent: not in the arena
  int64_t elements = 0;          // size of the arena, including gaps; gaps are zero

  [[nodiscard]] bool holds(size_t parameter) const { return offsets[parameter] != kAbsent; }
};

// The arena of the FP32 parameters' values.
[[nodiscard]] ArenaLayout ValueLayout(const std::vector<Parameter>& parameters);
// The arena of the gradients, which are FP32 for values of any format.
[[nodiscard]] ArenaLayout TrainableLayout(const std::vector<Parameter>& parameters);

// `layout` restricted to the parameters that `held` contains, at their places in `layout`.
[[nodiscard]] ArenaLayout OnlyThose(ArenaLayout layout, const ArenaLayout& held);
// Keeps only the last `layers` layers trainable, with their associated parameters
// (models::TrainedWithLastLayers).
void FreezeBelow(const models::DecoderConfig& config, int64_t layers,
                 std::vector<Parameter>& parameters);

// Memory for an arena: zeros [elements]; on the host, on huge pages if the system grants them,
// because every training step reads an arena from end to end.
[[nodiscard]] at::Tensor ZeroArena(int64_t elements, const at::TensorOptions& options);

// The part of an arena that belongs to a parameter, in the parameter's shape.
[[nodiscard]] at::Tensor ArenaView(const at::Tensor& arena, const ArenaLayout& layout,
                                   const std::vector<Parameter>& parameters, size_t parameter);

// Views of all parameters; undefined for those that the arena does not contain.
[[nodiscard]] std::vector<at::Tensor> ArenaViews(const at::Tensor& arena, const ArenaLayout& layout,
                                                 const std::vector<Parameter>& parameters);

// The weights structure over an arena: weights or gradients. Parameters that the arena does not
// contain stay undefined.
[[nodiscard]] DecoderWeights WeightsOver(const models::DecoderConfig& config,
                                         const std::vector<Parameter>& parameters,
                                         const ArenaLayout& layout, const at::Tensor& arena);

// Call before the first pass of a step: zeroes the gradients of WeightsOver, except those of
// matrices in the backward pass. These are marked unwritten instead, which saves every step a pass
// over most of the arena.
void ClearGradients(const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                    const at::Tensor& arena, DecoderWeights& gradients);

// Random weights: normal with the family's standard deviation; biases 0, norms the identity. A pure
// function of config and seed. arena: float [layout.elements], zero.
void FillRandom(const models::DecoderConfig& config, const std::vector<Parameter>& parameters,
                const ArenaLayout& layout, uint64_t seed, at::Tensor& arena);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_PARAMETERS_H_
