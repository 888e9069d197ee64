// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Causal self-attention on the output of the fused projection, with grouped heads of keys and
// values. Each group of sequences is computed separately, so a token never has a score with a token
// of another sequence, and packed examples cost the sum of their own squares. Examples that share a
// beginning are one sequence, whose mask hides the branches from each other. Padding needs no mask:
// sequences are padded at their end, where causality keeps every real token from seeing the
// padding, and padded rows have no loss, so their gradients are zero.
// The probabilities [sequences, heads, tokens, tokens] of each group are materialized, and kept for
// the backward pass if the device requires it.
#ifndef WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_
#define WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"
#include "worker/engine/models/key_value_cache.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/positions.h"
#include "worker/engine/models/token_batch.h"

namespace wattle::engine {

// The place of a block's work in the model and in the run.
struct BlockContext {
  const models::DecoderConfig& config;
  int64_t layer = 0;
  std::vector<SequenceGroup> groups = {};  // sequences whose rows are the rows of the stream
  DropoutState dropout = {};
  const RotaryTable* rotary = nullptr;  // null: the layer's positions are not rotary
  // Decoding: the block's tokens follow those in the slot, and their keys and values are added to
  // the slot; `groups` must be one sequence. Null: the block processes whole sequences.
  KeyValueCache* cache = nullptr;
  int64_t slot = 0;
  // Rounds queries, keys and values to int8 like the decode operator with an int8 cache
  // (kernels/kv_cache.h), so that quality is measured with the numbers of generation. The rounded
  // numbers are stored as floats. Not in training.
  bool int8_keys_and_values = false;

  [[nodiscard]] const models::LayerDescription& description() const {
    return config.layers[static_cast<size_t>(layer)];
  }
};

// Kept of a group for the backward pass.
struct GroupActivations {
  // In the form that products read (Factor of products.h).
  at::Tensor query;  // [sequences, heads, tokens, head_size], times query_scale
  at::Tensor key;    // [sequences, kv_heads, tokens, head_size]
  at::Tensor value;  // [sequences, kv_heads, tokens, head_size]
  // float [sequences, heads, tokens, tokens], before dropout. Undefined on a device that does not
  // keep them (device.h).
  at::Tensor probabilities;
};
using AttentionActivations = std::vector<GroupActivations>;  // one per group

// qkv: float [rows, qkv_rows] → float [rows, heads * head_size]. If no heads share keys, attention
// scales and rotates queries and keys in qkv itself, and on the host `saved` are views of qkv.
// Dropout of the probabilities numbers elements group by group, in the memory order of the squares
// [sequences, heads, tokens, tokens]. saved: null if there is no backward pass.
at::Tensor AttentionForward(const BlockContext& context, const at::Tensor& qkv,
                            AttentionActivations* saved);

// grad_out: [rows, heads * head_size] → gradient of qkv. Not with a cache.
at::Tensor AttentionBackward(const BlockContext& context, const AttentionActivations& saved,
                             const at::Tensor& grad_out);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_
