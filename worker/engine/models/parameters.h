// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parameters of a model and who owns their bytes. FP32 parameters lie side by side in one arena
// of floats; a matrix in another format owns its packed bytes. Gradients and optimizer moments lie
// in arenas of their own, which have room for the trainable parameters alone, so what is not
// trained costs no gradient. Not thread-safe.
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
  bool trainable = true;              // FP32 and BF16 only

  [[nodiscard]] bool in_arena() const { return format.scheme == kernels::WeightScheme::kFloat32; }
  [[nodiscard]] bool is_bf16() const { return format.scheme == kernels::WeightScheme::kBf16; }
  [[nodiscard]] bool is_quantized() const { return !in_arena() && !is_bf16(); }
  // Weight decay applies to matrices and tables, not to biases and norms.
  [[nodiscard]] bool decays() const { return tensor.is_matrix(); }
};

// Every parameter of a model, FP32 and trainable, in the order of the files.
[[nodiscard]] std::vector<Parameter> ParametersOf(const models::DecoderConfig& config);

// Parameters begin at multiples of this many floats: one line of the cache.
inline constexpr int64_t kArenaAlignment = 16;

// Where some of the parameters lie in an arena of floats.
struct ArenaLayout {
  static constexpr int64_t kAbsent = -1;
  std::vector<int64_t> offsets;  // of each parameter, in floats; kAbsent: it has no room here
  int64_t elements = 0;          // of the arena, gaps included; gaps are zero

  [[nodiscard]] bool holds(size_t parameter) const { return offsets[parameter] != kAbsent; }
};

// The arena of the FP32 parameters' values.
[[nodiscard]] ArenaLayout ValueLayout(const std::vector<Parameter>& parameters);
// The arena of the gradients, which are FP32 whatever the values are.
[[nodiscard]] ArenaLayout TrainableLayout(const std::vector<Parameter>& parameters);

// Of a layout those parameters that another one holds too, where they lie.
[[nodiscard]] ArenaLayout OnlyThose(ArenaLayout layout, const ArenaLayout& held);
// The last `layers` layers stay trainable, with what belongs to them
// (models::TrainedWithLastLayers).
void FreezeBelow(const models::DecoderConfig& config, int64_t layers,
                 std::vector<Parameter>& parameters);

// Memory for an arena: zeros [elements]; of the host, on huge pages where the system grants them,
// because every step of training reads an arena from end to end.
[[nodiscard]] at::Tensor ZeroArena(int64_t elements, const at::TensorOptions& options);

// The part of an arena that belongs to a parameter, in the parameter's shape.
[[nodiscard]] at::Tensor ArenaView(const at::Tensor& arena, const ArenaLayout& layout,
                                   const std::vector<Parameter>& parameters, size_t parameter);

// That of each parameter; undefined where the arena has no room for it.
[[nodiscard]] std::vector<at::Tensor> ArenaViews(const at::Tensor& arena, const ArenaLayout& layout,
                                                 const std::vector<Parameter>& parameters);

// The structure over an arena: weights or gradients. What the arena does not hold stays undefined.
[[nodiscard]] DecoderWeights WeightsOver(const models::DecoderConfig& config,
                                         const std::vector<Parameter>& parameters,
                                         const ArenaLayout& layout, const at::Tensor& arena);

// Before the first pass of a step: makes the gradients of WeightsOver zero, but for the matrices
// that the backward pass multiplies. Those become unwritten, which saves every step the way through
// most of the arena.
void ClearGradients(const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                    const at::Tensor& arena, DecoderWeights& gradients);

// Random weights: normal with the family's deviation; biases 0, norms the identity. A pure function
// of config and seed. arena: float [layout.elements], zero.
void FillRandom(const models::DecoderConfig& config, const std::vector<Parameter>& parameters,
                const ArenaLayout& layout, uint64_t seed, at::Tensor& arena);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_PARAMETERS_H_
