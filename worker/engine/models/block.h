// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One decoder block, forward and backward: attention and MLP behind their norms, joined to the
// stream as models::Residual says. BlockForward serves every layer of every family, by the layer's
// description, and training, evaluation and decoding alike: a cache in the context makes it a step
// of decoding.
// No autograd graph: BlockActivations holds what the backward pass needs, so that recomputing it
// instead is a matter of the caller's loop.
#ifndef WATTLE_WORKER_ENGINE_MODELS_BLOCK_H_
#define WATTLE_WORKER_ENGINE_MODELS_BLOCK_H_

#include <ATen/core/Tensor.h>

#include "worker/engine/models/attention.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

// Attention or MLP from its last inner tensor to the stream: inner norm (where the layer has it),
// last matrix, post norm (where the layer has it), dropout.
struct BranchEndActivations {
  at::Tensor inner;  // before the inner norm; undefined without one
  NormActivations inner_norm;
  at::Tensor post;  // before the post norm; undefined without one
  NormActivations post_norm;
};

// rows = batch * tokens.
struct BlockActivations {
  at::Tensor input;  // [rows, width]
  NormActivations attention_norm;
  at::Tensor attention_input;  // [rows, width], after the norm
  AttentionActivations attention;
  at::Tensor merged;  // [rows, heads * head_size], heads side by side, what the last matrix reads
  BranchEndActivations attention_end;
  at::Tensor middle;  // [rows, width], what mlp_norm reads
  NormActivations mlp_norm;
  at::Tensor mlp_input;  // [rows, width], after the norm
  at::Tensor up;         // [rows, up_rows], before the activation
  at::Tensor activated;  // [rows, mlp_width], what the last matrix reads
  BranchEndActivations mlp_end;
};

// x: float [rows, width] → the same shape. saved: null without a backward pass.
at::Tensor BlockForward(const BlockContext& context, const BlockWeights& weights,
                        const at::Tensor& x, BlockActivations* saved);

// grad_out: of the block's output. Adds to gradients; returns the gradient of the block's input.
at::Tensor BlockBackward(const BlockContext& context, const BlockWeights& weights,
                         const BlockActivations& saved, const at::Tensor& grad_out,
                         BlockWeights& gradients);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_BLOCK_H_
