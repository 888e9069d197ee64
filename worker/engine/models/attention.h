// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Causal self-attention on the output of the fused projection. Padding needs no mask: sequences are
// padded at their end, where causality keeps every real token from seeing it, and padded rows have
// no loss, so their gradients are zero. This form keeps the probabilities [batch, heads, tokens,
// tokens]; a tiled one takes its place behind the same border.
#ifndef WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_
#define WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "formats/decoder_config.h"
#include "worker/engine/models/layers.h"

namespace wattle::engine {

// Sequences of equal, padded length. Rows of the residual stream are [batch * tokens] in that
// order.
struct SequenceShape {
  int64_t batch = 0;
  int64_t tokens = 0;
};

// Where in the model, and in the run, one block's work is done.
struct BlockContext {
  const formats::DecoderConfig& config;
  SequenceShape shape;
  DropoutState dropout;
  int64_t layer = 0;
};

// What the backward pass needs. s = batch * heads.
struct AttentionActivations {
  at::Tensor query;          // float [s, tokens, head_size], already divided by √head_size
  at::Tensor key;            // float [s, tokens, head_size]
  at::Tensor value;          // float [s, tokens, head_size]
  at::Tensor probabilities;  // float [s, tokens, tokens], before dropout
};

// Keys and values of the tokens so far, of one sequence and one block.
struct KeyValueCache {
  at::Tensor keys;    // float [heads, capacity, head_size]
  at::Tensor values;  // the same
  int64_t filled = 0;
};

// qkv: float [batch * tokens, 3 * width] → float [batch * tokens, width]. saved: null without a
// backward pass.
at::Tensor AttentionForward(const BlockContext& context, const at::Tensor& qkv,
                            AttentionActivations* saved);

// grad_out: [batch * tokens, width] → gradient of qkv.
at::Tensor AttentionBackward(const BlockContext& context, const AttentionActivations& saved,
                             const at::Tensor& grad_out);

// qkv: float [tokens, 3 * width] of the tokens after those in the cache, which they are added to →
// [tokens, width].
at::Tensor AttentionWithCache(const formats::DecoderConfig& config, const at::Tensor& qkv,
                              KeyValueCache& cache);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_ATTENTION_H_
