// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Causal self-attention on the output of the fused projection, with grouped heads of keys and
// values. Each group of sequences is computed apart, so a token never has a score with a token of
// another sequence, and packed examples cost the sum of their own squares. Examples that share a
// beginning are one sequence, whose mask hides the branches from each other. Padding needs no mask:
// sequences are padded at their end, where causality keeps every real token from seeing the
// padding, and padded rows have no loss, so their gradients are zero.
// This form makes the probabilities [sequences, heads, tokens, tokens] of each group, and keeps
// them for the backward pass where the device says so.
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

// Where in the model, and in the run, one block's work is done.
struct BlockContext {
  const models::DecoderConfig& config;
  int64_t layer = 0;
  std::vector<SequenceGroup> groups = {};  // whose rows are the rows of the stream
  DropoutState dropout = {};
  const RotaryTable* rotary = nullptr;  // null: the layer's positions are not rotary
  // Decoding: the block's tokens follow those in the slot, and their keys and values are added to
  // the slot; `groups` are one sequence then. Null: the block sees whole sequences.
  KeyValueCache* cache = nullptr;
  int64_t slot = 0;
  // Queries, keys and values are rounded to int8 as the decode operator does with an int8 cache
  // (kernels/kv_cache.h), so that quality is measured with what generation computes. This form
  // holds the rounded numbers as floats. Not in training.
  bool int8_keys_and_values = false;

  [[nodiscard]] const models::LayerDescription& description() const {
    return config.layers[static_cast<size_t>(layer)];
  }
};

// What the backward pass needs of a group.
struct GroupActivations {
  // As products read them (Factor of products.h).
  at::Tensor query;  // [sequences, heads, tokens, head_size], times query_scale
  at::Tensor key;    // [sequences, kv_heads, tokens, head_size]
  at::Tensor value;  // [sequences, kv_heads, tokens, head_size]
  // float [sequences, heads, tokens, tokens], before dropout. Undefined on a device that does not
  // keep them (device.h).
  at::Tensor probabilities;
};
using AttentionActivations = std::vector<GroupActivations>;  // of each group

// qkv: float [rows, qkv_rows] → float [rows, heads * head_size]. Where no heads share keys,
// attention scales and turns queries and keys in qkv itself, and on the host `saved` are views of
// qkv. Dropout of the probabilities counts elements group by group: a group's first one follows the
// last of the group before, as the squares [sequences, heads, tokens, tokens] stand in memory.
// saved: null without a backward pass.
at::Tensor AttentionForward(const BlockContext& context, const at::Tensor& qkv,
                            AttentionActivations* saved);

// grad_out: [rows, heads * head_size] → gradient of qkv. Not with a cache.
at::Tensor AttentionBackward(const BlockContext& context, const AttentionActivations& saved,
                             const at::Tensor& grad_out);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_
