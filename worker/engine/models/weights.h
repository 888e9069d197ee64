// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of a decoder, as one structure that the blocks work on, and the flat buffers that
// training keeps them in: weights, gradients and both optimizer moments are one buffer each, and
// every tensor is a view of it. Not thread-safe. Read next: block.h.
#ifndef WATTLE_WORKER_ENGINE_MODELS_WEIGHTS_H_
#define WATTLE_WORKER_ENGINE_MODELS_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/decoder_config.h"

namespace wattle::engine {

// y = x W + b. Either FP32 (weight) or int8 (codes and scales).
struct LinearWeights {
  at::Tensor weight;  // float [in, out] (GPT-2's Conv1D), undefined where int8
  at::Tensor bias;    // float [out]
  at::Tensor codes;   // int8 [out, in], undefined where FP32
  at::Tensor scales;  // float [out]
};

// Rows to look up by token, and the head's matrix. Either FP32 or int8.
struct TableWeights {
  at::Tensor weight;  // float [vocabulary, width], undefined where int8
  at::Tensor codes;   // int8 [vocabulary, width], undefined where FP32
  at::Tensor scales;  // float [vocabulary]
};

struct NormWeights {
  at::Tensor weight;  // float [width]
  at::Tensor bias;    // float [width]
};

struct BlockWeights {
  NormWeights attention_norm;
  LinearWeights qkv;  // columns: query, key, value
  LinearWeights attention_output;
  NormWeights mlp_norm;
  LinearWeights up;
  LinearWeights down;
};

struct DecoderWeights {
  TableWeights tokens;
  at::Tensor positions;  // float [max_positions, width]
  std::vector<BlockWeights> blocks;
  NormWeights final_norm;
  TableWeights head;  // tied: the same tensors as `tokens`
};

// Where a tensor lies in a flat buffer.
struct FlatEntry {
  formats::TensorDescription tensor;  // name as in formats::CheckpointTensors
  int64_t offset = 0;                 // in elements, a multiple of kFlatAlignment
  bool decays = false;  // weight decay applies: matrices and tables, not biases and norms
};

inline constexpr int64_t kFlatAlignment = 16;  // floats: one cache line

struct FlatLayout {
  std::vector<FlatEntry> entries;
  int64_t elements = 0;  // of the buffer, gaps included; gaps are zero in every buffer
};

[[nodiscard]] FlatLayout MakeFlatLayout(const formats::DecoderConfig& config);

// The view of one tensor, in its shape.
[[nodiscard]] at::Tensor FlatView(const at::Tensor& flat, const FlatEntry& entry);

// The structure over a flat buffer (float [layout.elements]).
[[nodiscard]] DecoderWeights WeightsOver(const formats::DecoderConfig& config,
                                         const FlatLayout& layout, const at::Tensor& flat);

// The structure from anything that knows tensors by the names of formats::CheckpointTensors. put:
// called once for each linear layer, table, norm, bias and position table with its name and the
// place to fill.
struct WeightsVisitor {
  std::function<void(const std::string& name, LinearWeights& linear)>
      linear;  // name without ".weight"
  std::function<void(const std::string& name, TableWeights& table)> table;  // full name
  std::function<void(const std::string& name, at::Tensor& tensor)>
      tensor;  // norms, positions: full name
};
void VisitWeights(const formats::DecoderConfig& config, DecoderWeights& weights,
                  const WeightsVisitor& visitor);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_WEIGHTS_H_
