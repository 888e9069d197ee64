// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/block.h"

#include <ATen/ATen.h>

namespace wattle::engine {
namespace {

using kernels::RandomUse;

// The tensors of one forward pass that a backward pass wants: kept if there is one, else let go as
// soon as the last operation has read them.
class Keeper {
 public:
  explicit Keeper(BlockActivations* saved) : saved_(saved) {}

  // Keeps `value` as the member, and returns it.
  at::Tensor Keep(at::Tensor BlockActivations::*member, at::Tensor value) {
    if (saved_ != nullptr) {
      saved_->*member = value;
    }
    return value;
  }
  NormActivations* Norm(NormActivations BlockActivations::*member) {
    return saved_ == nullptr ? nullptr : &(saved_->*member);
  }
  AttentionActivations* Attention() { return saved_ == nullptr ? nullptr : &saved_->attention; }

 private:
  BlockActivations* saved_;
};

// x + drop(attention(norm(x))).
at::Tensor AttentionBranch(const BlockContext& context, const BlockWeights& weights,
                           const at::Tensor& x, Keeper& keeper) {
  const models::DecoderConfig& config = context.config;
  const at::Tensor input =
      keeper.Keep(&BlockActivations::attention_input,
                  NormForward(config.norm, config.norm_epsilon, weights.attention_norm, x,
                              keeper.Norm(&BlockActivations::attention_norm)));
  const at::Tensor merged =
      keeper.Keep(&BlockActivations::merged,
                  AttentionForward(context, LinearForward(weights.qkv, input), keeper.Attention()));
  at::Tensor attended = LinearForward(weights.attention_output, merged);
  DropInPlace(context.dropout, RandomUse::kAttentionOutputDropout, context.layer,
              config.residual_dropout, attended);
  return keeper.Keep(&BlockActivations::middle, attended.add_(x));
}

// x + drop(mlp(norm(x))).
at::Tensor MlpBranch(const BlockContext& context, const BlockWeights& weights, const at::Tensor& x,
                     Keeper& keeper) {
  const models::DecoderConfig& config = context.config;
  const at::Tensor input = keeper.Keep(
      &BlockActivations::mlp_input, NormForward(config.norm, config.norm_epsilon, weights.mlp_norm,
                                                x, keeper.Norm(&BlockActivations::mlp_norm)));
  at::Tensor up = keeper.Keep(&BlockActivations::up, LinearForward(weights.up, input));
  const at::Tensor activated =
      keeper.Keep(&BlockActivations::activated, ActivationForward(context.description(), up));
  up.reset();
  at::Tensor out = LinearForward(weights.down, activated);
  DropInPlace(context.dropout, RandomUse::kMlpOutputDropout, context.layer, config.residual_dropout,
              out);
  return out.add_(x);
}

}  // namespace

at::Tensor BlockForward(const BlockContext& context, const BlockWeights& weights,
                        const at::Tensor& x, BlockActivations* saved) {
  Keeper keeper(saved);
  keeper.Keep(&BlockActivations::input, x);
  return MlpBranch(context, weights, AttentionBranch(context, weights, x, keeper), keeper);
}

at::Tensor BlockBackward(const BlockContext& context, const BlockWeights& weights,
                         const BlockActivations& saved, const at::Tensor& grad_out,
                         BlockWeights& gradients) {
  const models::DecoderConfig& config = context.config;
  at::Tensor grad_down = grad_out.clone();
  DropInPlace(context.dropout, RandomUse::kMlpOutputDropout, context.layer, config.residual_dropout,
              grad_down);
  const at::Tensor grad_activated =
      LinearBackward(weights.down, saved.activated, grad_down, gradients.down);
  const at::Tensor grad_up = ActivationBackward(context.description(), saved.up, grad_activated);
  const at::Tensor grad_mlp_input =
      LinearBackward(weights.up, saved.mlp_input, grad_up, gradients.up);
  const at::Tensor grad_middle = NormBackward(config.norm, weights.mlp_norm, saved.mlp_norm,
                                              saved.middle, grad_mlp_input, gradients.mlp_norm)
                                     .add_(grad_out);

  at::Tensor grad_attended = grad_middle.clone();
  DropInPlace(context.dropout, RandomUse::kAttentionOutputDropout, context.layer,
              config.residual_dropout, grad_attended);
  const at::Tensor grad_merged = LinearBackward(weights.attention_output, saved.merged,
                                                grad_attended, gradients.attention_output);
  const at::Tensor grad_qkv = AttentionBackward(context, saved.attention, grad_merged);
  const at::Tensor grad_attention_input =
      LinearBackward(weights.qkv, saved.attention_input, grad_qkv, gradients.qkv);
  return NormBackward(config.norm, weights.attention_norm, saved.attention_norm, saved.input,
                      grad_attention_input, gradients.attention_norm)
      .add_(grad_middle);
}

}  // namespace wattle::engine
