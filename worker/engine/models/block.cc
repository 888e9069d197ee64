// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/block.h"

#include <utility>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/random.h"

namespace wattle::engine {
namespace {

using kernels::RandomUse;
using models::Residual;

// The tensors of one forward pass that a backward pass needs: kept if there is one, else released
// as soon as the last operation has read them.
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
  BranchEndActivations* End(BranchEndActivations BlockActivations::*member) {
    return saved_ == nullptr ? nullptr : &(saved_->*member);
  }

 private:
  BlockActivations* saved_;
};

// The end of attention or of the MLP: its weights, its random numbers, and the tensors to keep.
struct BranchEnd {
  const NormWeights& inner_norm;  // undefined if the layer has none
  const LinearWeights& linear;
  const NormWeights& post_norm;  // undefined if the layer has none
  RandomUse dropout;
  at::Tensor BlockActivations::*linear_input;
  BranchEndActivations BlockActivations::*activations;
};

BranchEnd AttentionEnd(const BlockWeights& weights) {
  return {.inner_norm = weights.attention_inner_norm,
          .linear = weights.attention_output,
          .post_norm = weights.attention_post_norm,
          .dropout = RandomUse::kAttentionOutputDropout,
          .linear_input = &BlockActivations::merged,
          .activations = &BlockActivations::attention_end};
}

BranchEnd MlpEnd(const BlockWeights& weights) {
  return {.inner_norm = weights.mlp_inner_norm,
          .linear = weights.down,
          .post_norm = weights.mlp_post_norm,
          .dropout = RandomUse::kMlpOutputDropout,
          .linear_input = &BlockActivations::activated,
          .activations = &BlockActivations::mlp_end};
}

// x: the heads' output, or the activated MLP → the tensor to add to the stream.
at::Tensor EndForward(const BlockContext& context, const BranchEnd& end, at::Tensor x,
                      Keeper& keeper) {
  const models::DecoderConfig& config = context.config;
  BranchEndActivations* saved = keeper.End(end.activations);
  const auto norm = [&](const NormWeights& weights, at::Tensor BranchEndActivations::*input,
                        NormActivations BranchEndActivations::*activations) {
    if (!weights.weight.defined()) {
      return;
    }
    if (saved != nullptr) {
      saved->*input = x;
    }
    x = NormForward(config.norm, config.norm_epsilon, weights, x,
                    saved == nullptr ? nullptr : &(saved->*activations));
  };
  norm(end.inner_norm, &BranchEndActivations::inner, &BranchEndActivations::inner_norm);
  x = LinearForward(end.linear, keeper.Keep(end.linear_input, LinearInput({&end.linear}, x)),
                    context.dropout);
  norm(end.post_norm, &BranchEndActivations::post, &BranchEndActivations::post_norm);
  DropInPlace(context.dropout, end.dropout, context.layer, config.residual_dropout, x);
  return x;
}

// The gradients that EndBackward adds to.
struct BranchEndGradients {
  NormWeights& inner_norm;
  LinearWeights& linear;
  NormWeights& post_norm;
};

// grad_out: gradient of EndForward's result. Returns the gradient of its x.
at::Tensor EndBackward(const BlockContext& context, const BranchEnd& end,
                       const BlockActivations& activations, const at::Tensor& grad_out,
                       const BranchEndGradients& gradients) {
  const models::DecoderConfig& config = context.config;
  const BranchEndActivations& saved = activations.*end.activations;
  at::Tensor grad =
      Dropped(context.dropout, end.dropout, context.layer, config.residual_dropout, grad_out);
  if (end.post_norm.weight.defined()) {
    grad = NormBackward(config.norm, end.post_norm, saved.post_norm, saved.post, grad,
                        gradients.post_norm);
  }
  grad = LinearBackward(end.linear, activations.*end.linear_input, grad, gradients.linear,
                        context.dropout);
  if (end.inner_norm.weight.defined()) {
    grad = NormBackward(config.norm, end.inner_norm, saved.inner_norm, saved.inner, grad,
                        gradients.inner_norm);
  }
  return grad;
}

}  // namespace

at::Tensor BlockForward(const BlockContext& context, const BlockWeights& weights,
                        const at::Tensor& x, BlockActivations* saved) {
  const models::DecoderConfig& config = context.config;
  const Residual residual = context.description().residual;
  Keeper keeper(saved);
  keeper.Keep(&BlockActivations::input, x);
  const bool one_norm = residual == Residual::kParallelOneNorm;
  at::Tensor attention_input =
      keeper.Keep(&BlockActivations::attention_input,
                  LinearInput({&weights.qkv, one_norm ? &weights.up : &weights.qkv},
                              NormForward(config.norm, config.norm_epsilon, weights.attention_norm,
                                          x, keeper.Norm(&BlockActivations::attention_norm))));
  at::Tensor stream =
      EndForward(
          context, AttentionEnd(weights),
          AttentionForward(context, LinearForward(weights.qkv, attention_input, context.dropout),
                           keeper.Attention()),
          keeper)
          .add_(x);
  at::Tensor mlp_input;
  if (one_norm) {
    mlp_input = keeper.Keep(&BlockActivations::mlp_input, attention_input);
  } else {
    const at::Tensor middle =
        keeper.Keep(&BlockActivations::middle, residual == Residual::kSequential ? stream : x);
    mlp_input = keeper.Keep(
        &BlockActivations::mlp_input,
        LinearInput({&weights.up}, NormForward(config.norm, config.norm_epsilon, weights.mlp_norm,
                                               middle, keeper.Norm(&BlockActivations::mlp_norm))));
  }
  attention_input.reset();
  at::Tensor up =
      keeper.Keep(&BlockActivations::up, LinearForward(weights.up, mlp_input, context.dropout));
  mlp_input.reset();
  at::Tensor activated = ActivationForward(context.description(), up);
  up.reset();
  return EndForward(context, MlpEnd(weights), std::move(activated), keeper).add_(stream);
}

at::Tensor BlockBackward(const BlockContext& context, const BlockWeights& weights,
                         const BlockActivations& saved, const at::Tensor& grad_out,
                         BlockWeights& gradients) {
  const models::DecoderConfig& config = context.config;
  const Residual residual = context.description().residual;
  const at::Tensor grad_activated =
      EndBackward(context, MlpEnd(weights), saved, grad_out,
                  {gradients.mlp_inner_norm, gradients.down, gradients.mlp_post_norm});
  const at::Tensor grad_up = ActivationBackward(context.description(), saved.up, grad_activated);
  const at::Tensor grad_mlp_input =
      LinearBackward(weights.up, saved.mlp_input, grad_up, gradients.up, context.dropout);
  // grad_middle: gradient of the stream before the MLP's norm; grad_stream: gradient of attention's
  // output.
  at::Tensor grad_stream = grad_out;
  at::Tensor grad_middle;
  if (residual != Residual::kParallelOneNorm) {
    grad_middle = NormBackward(config.norm, weights.mlp_norm, saved.mlp_norm, saved.middle,
                               grad_mlp_input, gradients.mlp_norm)
                      .add_(grad_out);
    grad_stream = residual == Residual::kSequential ? grad_middle : grad_out;
  }

  const at::Tensor grad_merged = EndBackward(
      context, AttentionEnd(weights), saved, grad_stream,
      {gradients.attention_inner_norm, gradients.attention_output, gradients.attention_post_norm});
  const at::Tensor grad_qkv = AttentionBackward(context, saved.attention, grad_merged);
  at::Tensor grad_attention_input =
      LinearBackward(weights.qkv, saved.attention_input, grad_qkv, gradients.qkv, context.dropout);
  if (residual == Residual::kParallelOneNorm) {
    grad_attention_input.add_(grad_mlp_input);
  }
  return NormBackward(config.norm, weights.attention_norm, saved.attention_norm, saved.input,
                      grad_attention_input, gradients.attention_norm)
      .add_(residual == Residual::kParallelOneNorm ? grad_out : grad_middle);
}

}  // namespace wattle::engine
