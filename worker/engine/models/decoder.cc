// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/decoder.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "base/check.h"
#include "worker/engine/models/block.h"

namespace wattle::engine {
namespace {

at::Tensor Indices(absl::Span<const int64_t> values, at::Device device) {
  at::Tensor indices = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), indices.data_ptr<int64_t>());
  return device.is_cpu() ? indices : indices.to(device);
}

// The stream before the first block: float [batch * length, width].
at::Tensor Embed(const Decoder& decoder, const SequenceShape& shape, int64_t first_position,
                 const at::Tensor& tokens) {
  WATTLE_CHECK(first_position + shape.tokens <= decoder.config.max_positions,
               "batches are cut to the model's context");
  const at::Tensor positions =
      decoder.weights.positions.narrow(0, first_position, shape.tokens).unsqueeze(0);
  at::Tensor x = TableLookUp(decoder.weights.tokens, tokens);
  x.view({shape.batch, shape.tokens, decoder.config.width}).add_(positions);
  return x;
}

void EmbedBackward(const TokenBatch& batch, const at::Tensor& tokens, const at::Tensor& grad,
                   DecoderWeights& gradients) {
  gradients.tokens.weight.index_add_(0, tokens, grad);
  gradients.positions.narrow(0, 0, batch.length)
      .add_(grad.view({batch.batch, batch.length, grad.size(1)}).sum(0));
}

// The stream after the last block. activations: null, or one for each block to fill.
at::Tensor RunBlocks(const Decoder& decoder, const SequenceShape& shape,
                     const DropoutState& dropout, at::Tensor x,
                     std::vector<BlockActivations>* activations) {
  for (size_t i = 0; i < decoder.weights.blocks.size(); ++i) {
    const BlockContext context{decoder.config, shape, dropout, static_cast<int64_t>(i)};
    x = BlockForward(context, decoder.weights.blocks[i], x,
                     activations == nullptr ? nullptr : &(*activations)[i]);
  }
  return x;
}

// Sum of the negative log-likelihoods of the rows; log_probabilities: float [rows, vocabulary].
double NegativeLogLikelihood(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return -log_probabilities.gather(1, targets.unsqueeze(1)).sum(at::kDouble).item<double>();
}

// x: the stream after the last block.
double HeadLoss(const Decoder& decoder, const TokenBatch& batch, const at::Tensor& x) {
  double sum = 0.0;
  const auto count = static_cast<int64_t>(batch.targets.size());
  for (int64_t start = 0; start < count; start += kLossRows) {
    const auto rows = static_cast<size_t>(std::min(kLossRows, count - start));
    const at::Tensor where =
        Indices(absl::MakeConstSpan(batch.predicting).subspan(static_cast<size_t>(start), rows),
                x.device());
    const at::Tensor targets = Indices(
        absl::MakeConstSpan(batch.targets).subspan(static_cast<size_t>(start), rows), x.device());
    const at::Tensor hidden = NormForward(decoder.weights.final_norm, decoder.config.norm_epsilon,
                                          x.index_select(0, where), nullptr);
    const at::Tensor logits = TableLogits(decoder.weights.head, hidden);
    sum += NegativeLogLikelihood(at::_log_softmax(logits, 1, /*half_to_float=*/false), targets);
  }
  return sum;
}

struct HeadGradient {
  double loss_sum = 0.0;
  at::Tensor grad_x;
};

// As HeadLoss; also the gradient of x, and (added to `gradients`) those of the final norm and the
// head.
HeadGradient HeadLossAndGradients(const Decoder& decoder, const TokenBatch& batch,
                                  const at::Tensor& x, double gradient_scale,
                                  DecoderWeights& gradients) {
  HeadGradient result{.grad_x = at::zeros_like(x)};
  const at::Tensor& head = decoder.weights.head.weight;
  const auto count = static_cast<int64_t>(batch.targets.size());
  for (int64_t start = 0; start < count; start += kLossRows) {
    const auto rows = static_cast<size_t>(std::min(kLossRows, count - start));
    const at::Tensor where =
        Indices(absl::MakeConstSpan(batch.predicting).subspan(static_cast<size_t>(start), rows),
                x.device());
    const at::Tensor targets = Indices(
        absl::MakeConstSpan(batch.targets).subspan(static_cast<size_t>(start), rows), x.device());
    const at::Tensor rows_x = x.index_select(0, where);
    NormActivations norm;
    const at::Tensor hidden =
        NormForward(decoder.weights.final_norm, decoder.config.norm_epsilon, rows_x, &norm);
    at::Tensor grad_logits = at::_log_softmax(at::mm(hidden, head.t()), 1, /*half_to_float=*/false);
    result.loss_sum += NegativeLogLikelihood(grad_logits, targets);
    grad_logits.exp_();
    grad_logits.scatter_add_(1, targets.unsqueeze(1),
                             at::full({static_cast<int64_t>(rows), 1}, -1.0, x.options()));
    grad_logits.mul_(gradient_scale);
    gradients.head.weight.addmm_(grad_logits.t(), hidden);
    const at::Tensor grad_rows = NormBackward(decoder.weights.final_norm, norm, rows_x,
                                              at::mm(grad_logits, head), gradients.final_norm);
    result.grad_x.index_copy_(0, where, grad_rows);
  }
  return result;
}

}  // namespace

double LossSum(const Decoder& decoder, const TokenBatch& batch) {
  const SequenceShape shape{batch.batch, batch.length};
  const at::Tensor x = Embed(decoder, shape, 0, Indices(batch.tokens, decoder.device));
  return HeadLoss(decoder, batch, RunBlocks(decoder, shape, DropoutState{}, x, nullptr));
}

double LossSumAndGradients(const Decoder& decoder, const TokenBatch& batch,
                           const DropoutState& dropout, double gradient_scale,
                           DecoderWeights& gradients) {
  WATTLE_CHECK(decoder.weights.head.weight.defined(), "only FP32 weights are trained");
  const SequenceShape shape{batch.batch, batch.length};
  const at::Tensor tokens = Indices(batch.tokens, decoder.device);
  at::Tensor x = Embed(decoder, shape, 0, tokens);
  DropInPlace(dropout, kernels::RandomUse::kEmbeddingDropout, 0, decoder.config.embedding_dropout,
              x);
  std::vector<BlockActivations> activations(decoder.weights.blocks.size());
  x = RunBlocks(decoder, shape, dropout, x, &activations);
  auto [sum, grad] = HeadLossAndGradients(decoder, batch, x, gradient_scale, gradients);
  for (size_t i = activations.size(); i-- > 0;) {
    const BlockContext context{decoder.config, shape, dropout, static_cast<int64_t>(i)};
    grad = BlockBackward(context, decoder.weights.blocks[i], activations[i], grad,
                         gradients.blocks[i]);
    activations[i] = BlockActivations{};  // its memory serves the next block
  }
  DropInPlace(dropout, kernels::RandomUse::kEmbeddingDropout, 0, decoder.config.embedding_dropout,
              grad);
  EmbedBackward(batch, tokens, grad, gradients);
  return sum;
}

at::Tensor AllLogits(const Decoder& decoder, const TokenBatch& batch) {
  const SequenceShape shape{batch.batch, batch.length};
  at::Tensor x = Embed(decoder, shape, 0, Indices(batch.tokens, decoder.device));
  x = RunBlocks(decoder, shape, DropoutState{}, x, nullptr);
  return TableLogits(decoder.weights.head, NormForward(decoder.weights.final_norm,
                                                       decoder.config.norm_epsilon, x, nullptr));
}

DecodeState MakeDecodeState(const Decoder& decoder, int64_t capacity_tokens) {
  const formats::DecoderConfig& config = decoder.config;
  DecodeState state;
  for (int64_t i = 0; i < config.layers; ++i) {
    const at::TensorOptions options = at::TensorOptions(at::kFloat).device(decoder.device);
    KeyValueCache cache;
    cache.keys = at::empty({config.heads, capacity_tokens, config.head_size()}, options);
    cache.values = at::empty_like(cache.keys);
    state.blocks.push_back(cache);
  }
  return state;
}

at::Tensor DecodeLogits(const Decoder& decoder, absl::Span<const int64_t> tokens,
                        DecodeState& state) {
  const auto count = static_cast<int64_t>(tokens.size());
  at::Tensor x = Embed(decoder, {1, count}, state.position, Indices(tokens, decoder.device));
  for (size_t i = 0; i < state.blocks.size(); ++i) {
    x = BlockWithCache(decoder.config, decoder.weights.blocks[i], x, state.blocks[i]);
  }
  state.position += count;
  const at::Tensor hidden = NormForward(decoder.weights.final_norm, decoder.config.norm_epsilon,
                                        x.narrow(0, count - 1, 1), nullptr);
  return TableLogits(decoder.weights.head, hidden).view({-1});
}

}  // namespace wattle::engine
