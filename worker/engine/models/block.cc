// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/block.h"

#include <ATen/ATen.h>

namespace wattle::engine {
namespace {

using kernels::RandomUse;

constexpr char kTanh[] = "tanh";  // gelu_new

}  // namespace

at::Tensor BlockForward(const BlockContext& context, const BlockWeights& weights,
                        const at::Tensor& x, BlockActivations* saved) {
  const formats::DecoderConfig& config = context.config;
  BlockActivations kept;
  kept.input = x;
  kept.attention_input = NormForward(weights.attention_norm, config.norm_epsilon, x,
                                     saved == nullptr ? nullptr : &kept.attention_norm);
  kept.merged = AttentionForward(context, LinearForward(weights.qkv, kept.attention_input),
                                 saved == nullptr ? nullptr : &kept.attention);
  at::Tensor attended = LinearForward(weights.attention_output, kept.merged);
  DropInPlace(context.dropout, RandomUse::kAttentionOutputDropout, context.layer,
              config.residual_dropout, attended);
  kept.middle = attended.add_(x);
  kept.mlp_input = NormForward(weights.mlp_norm, config.norm_epsilon, kept.middle,
                               saved == nullptr ? nullptr : &kept.mlp_norm);
  kept.up = LinearForward(weights.up, kept.mlp_input);
  kept.activated = at::gelu(kept.up, kTanh);
  at::Tensor out = LinearForward(weights.down, kept.activated);
  DropInPlace(context.dropout, RandomUse::kMlpOutputDropout, context.layer, config.residual_dropout,
              out);
  out.add_(kept.middle);
  if (saved != nullptr) {
    *saved = kept;
  }
  return out;
}

at::Tensor BlockBackward(const BlockContext& context, const BlockWeights& weights,
                         const BlockActivations& saved, const at::Tensor& grad_out,
                         BlockWeights& gradients) {
  const formats::DecoderConfig& config = context.config;
  at::Tensor grad_down = grad_out.clone();
  DropInPlace(context.dropout, RandomUse::kMlpOutputDropout, context.layer, config.residual_dropout,
              grad_down);
  const at::Tensor grad_activated =
      LinearBackward(weights.down, saved.activated, grad_down, gradients.down);
  const at::Tensor grad_up = at::gelu_backward(grad_activated, saved.up, kTanh);
  const at::Tensor grad_mlp_input =
      LinearBackward(weights.up, saved.mlp_input, grad_up, gradients.up);
  const at::Tensor grad_middle = NormBackward(weights.mlp_norm, saved.mlp_norm, saved.middle,
                                              grad_mlp_input, gradients.mlp_norm)
                                     .add_(grad_out);

  at::Tensor grad_attended = grad_middle.clone();
  DropInPlace(context.dropout, RandomUse::kAttentionOutputDropout, context.layer,
              config.residual_dropout, grad_attended);
  const at::Tensor grad_merged = LinearBackward(weights.attention_output, saved.merged,
                                                grad_attended, gradients.attention_output);
  const at::Tensor grad_qkv = AttentionBackward(context, saved.attention, grad_merged);
  const at::Tensor grad_attention_input =
      LinearBackward(weights.qkv, saved.attention_input, grad_qkv, gradients.qkv);
  return NormBackward(weights.attention_norm, saved.attention_norm, saved.input,
                      grad_attention_input, gradients.attention_norm)
      .add_(grad_middle);
}

at::Tensor BlockWithCache(const formats::DecoderConfig& config, const BlockWeights& weights,
                          const at::Tensor& x, KeyValueCache& cache) {
  const at::Tensor normed = NormForward(weights.attention_norm, config.norm_epsilon, x, nullptr);
  const at::Tensor merged = AttentionWithCache(config, LinearForward(weights.qkv, normed), cache);
  const at::Tensor middle = LinearForward(weights.attention_output, merged).add_(x);
  const at::Tensor mlp_input = NormForward(weights.mlp_norm, config.norm_epsilon, middle, nullptr);
  const at::Tensor activated = at::gelu(LinearForward(weights.up, mlp_input), kTanh);
  return LinearForward(weights.down, activated).add_(middle);
}

}  // namespace wattle::engine
