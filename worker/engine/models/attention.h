// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Causal self-attention on the output of the fused projection, with grouped heads of keys and
// values. Padding needs no mask: sequences are padded at their end, where causality keeps every
// real token from seeing the padding, and padded rows have no loss, so their gradients are zero.
// This form keeps the probabilities [batch, heads, tokens, tokens].
#ifndef WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_
#define WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"
#include "worker/engine/models/key_value_cache.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/rotary.h"

namespace wattle::engine {

// Sequences of equal, padded length. Rows of the residual stream are [batch * tokens] in that
// order.
struct SequenceShape {
  int64_t batch = 0;
  int64_t tokens = 0;
};

// Where in the model, and in the run, one block's work is done.
struct BlockContext {
  const models::DecoderConfig& config;
  int64_t layer = 0;
  SequenceShape shape = {};
  DropoutState dropout = {};
  const RotaryTable* rotary = nullptr;  // null: the layer's positions are not rotary
  // Decoding: the block's tokens follow those in the slot, and their keys and values are added to
  // the slot; `shape` is one sequence then. Null: the block sees whole sequences.
  KeyValueCache* cache = nullptr;
  int64_t slot = 0;
  // Queries, keys and values are rounded to int8 as the decode operator does with an int8 cache
  // (kernels/kv_cache.h), so that quality is measured with what generation computes. This form
  // holds the rounded numbers as floats. Not in training.
  bool int8_keys_and_values = false;

  [[nodiscard]] const models::LayerDescription& description() const {
    return config.layers[static_cast<size_t>(layer)];
  }
  // Position of the block's first token in its sequence.
  [[nodiscard]] int64_t first_position() const {
    return cache == nullptr ? 0 : cache->length(slot);
  }
};

// What the backward pass needs.
struct AttentionActivations {
  at::Tensor query;          // float [batch * heads, tokens, head_size], times query_scale
  at::Tensor key;            // float [batch * kv_heads, tokens, head_size]
  at::Tensor value;          // float [batch * kv_heads, tokens, head_size]
  at::Tensor probabilities;  // float [batch * heads, tokens, tokens], before dropout
};

// qkv: float [batch * tokens, qkv_rows] → float [batch * tokens, heads * head_size].
// saved: null without a backward pass.
at::Tensor AttentionForward(const BlockContext& context, const at::Tensor& qkv,
                            AttentionActivations* saved);

// grad_out: [batch * tokens, heads * head_size] → gradient of qkv. Not with a cache.
at::Tensor AttentionBackward(const BlockContext& context, const AttentionActivations& saved,
                             const at::Tensor& grad_out);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_
