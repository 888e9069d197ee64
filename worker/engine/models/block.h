// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One decoder block, forward and backward: attention and MLP after their norms, added to the stream
// in the order of models::Residual. BlockForward serves every layer of every family, by the layer's
// description, and training, evaluation and decoding alike: a cache in the context makes it a
// decoding step.
// Without an autograd graph: BlockActivations has the tensors for the backward pass, so that the
// caller can also choose to recompute them.
#ifndef WATTLE_WORKER_ENGINE_MODELS_BLOCK_H_
#define WATTLE_WORKER_ENGINE_MODELS_BLOCK_H_

#include <ATen/core/Tensor.h>

#include "worker/engine/models/attention.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

// Attention or MLP from its last inner tensor to the stream: inner norm (if the layer has it), last
// matrix, post norm (if the layer has it), dropout.
struct BranchEndActivations {
  at::Tensor inner;  // input of the inner norm; undefined without one
  NormActivations inner_norm;
  at::Tensor post;  // input of the post norm; undefined without one
  NormActivations post_norm;
};

// rows = batch * tokens.
struct BlockActivations {
  at::Tensor input;  // [rows, width]
  NormActivations attention_norm;
  at::Tensor attention_input;  // [rows, width], after the norm
  AttentionActivations attention;
  at::Tensor merged;  // [rows, heads * head_size], all heads, input of the last matrix
  BranchEndActivations attention_end;
  at::Tensor middle;  // [rows, width], input of mlp_norm
  NormActivations mlp_norm;
  at::Tensor mlp_input;  // [rows, width], after the norm
  at::Tensor up;         // [rows, up_rows], before the activation
  at::Tensor activated;  // [rows, mlp_width], input of the last matrix
  BranchEndActivations mlp_end;
};

// x: float [rows, width] → same shape. saved: null if there is no backward pass.
at::Tensor BlockForward(const BlockContext& context, const BlockWeights& weights,
                        const at::Tensor& x, BlockActivations* saved);

// grad_out: gradient of the block's output. Adds to gradients; returns the gradient of the block's
// input.
at::Tensor BlockBackward(const BlockContext& context, const BlockWeights& weights,
                         const BlockActivations& saved, const at::Tensor& grad_out,
                         BlockWeights& gradients);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_BLOCK_H_
