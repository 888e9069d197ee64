// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/decoder.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "models/loss_rows.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/row_sums.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/block.h"
#include "worker/engine/models/perturbed_weights.h"
#include "worker/engine/models/products.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

at::Tensor Indices(absl::Span<const int64_t> values, at::Device device) {
  at::Tensor indices = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), indices.data_ptr<int64_t>());
  return Upload(indices, device);
}

// Calls body(rows of a stretch, its positions) for each stretch of each group; of_rows: [rows,
// width] → [sequences, tokens, width]; of_positions: [max_positions, width] → [tokens, width].
template <typename Body>
void ForEachStretch(absl::Span<const SequenceGroup> groups, const at::Tensor& of_rows,
                    const at::Tensor& of_positions, Body body) {
  int64_t row = 0;
  for (const SequenceGroup& group : groups) {
    const at::Tensor rows =
        of_rows.narrow(0, row, group.rows()).view({group.sequences, group.tokens, -1});
    for (const Stretch& stretch : StretchesOf(group)) {
      body(rows.narrow(1, stretch.begin, stretch.tokens),
           of_positions.narrow(0, stretch.first_position, stretch.tokens));
    }
    row += group.rows();
  }
}

// The weights read by a pass, except token table and head. moved: null: the decoder's own weights.
const DecoderWeights& WeightsOf(const Decoder& decoder, const PerturbedWeights* moved) {
  return moved == nullptr ? decoder.weights : moved->weights();
}

// The rows of learned positions, or of their gradient, that belong to tokens: [max_positions,
// width].
at::Tensor RowsOfTokens(const Decoder& decoder, const at::Tensor& table) {
  return table.defined()
             ? table.narrow(0, decoder.config.learned_offset, decoder.config.max_positions)
             : table;
}

// The stream before the first block: float [rows, width].
at::Tensor Embed(const Decoder& decoder, absl::Span<const SequenceGroup> groups,
                 const at::Tensor& tokens, const PerturbedWeights* moved = nullptr) {
  for (const SequenceGroup& group : groups) {
    WATTLE_CHECK(group.first_position + group.longest() <= decoder.config.max_positions,
                 "batches are cut to the model's context");
  }
  at::Tensor x = LookUpRows(decoder.weights.tokens, tokens);
  if (moved != nullptr) {
    moved->MoveTokenRows(tokens, x);
  }
  if (decoder.config.embedding_scale != 1.0) {
    x.mul_(decoder.config.embedding_scale);
  }
  for (const at::Tensor& positions :
       {RowsOfTokens(decoder, WeightsOf(decoder, moved).positions), decoder.sinusoids}) {
    if (positions.defined()) {
      ForEachStretch(groups, x, positions, [](const at::Tensor& rows, const at::Tensor& own) {
        rows.add_(own.unsqueeze(0));
      });
    }
  }
  return x;
}

void EmbedBackward(const Decoder& decoder, const TokenBatch& batch, const at::Tensor& tokens,
                   const at::Tensor& grad, DecoderWeights& gradients) {
  if (gradients.tokens.value.defined()) {
    AddToRows(tokens, grad, decoder.config.embedding_scale, gradients.tokens.value);
  }
  if (gradients.positions.defined()) {
    ForEachStretch(batch.groups, grad, RowsOfTokens(decoder, gradients.positions),
                   [](const at::Tensor& rows, const at::Tensor& own) { own.add_(rows.sum(0)); });
  }
}

// Whether the backward pass continues below the first block.
bool LearnsTables(const DecoderWeights& gradients) {
  return gradients.tokens.value.defined() || gradients.positions.defined();
}

// The lowest block of the backward pass: no block below it has trainable weights.
size_t LowestLearningBlock(const DecoderWeights& gradients) {
  size_t block = 0;
  if (!LearnsTables(gradients)) {
    while (block < gradients.blocks.size() && !HasAny(gradients.blocks[block])) {
      ++block;
    }
  }
  return block;
}

// Kept by a pass for the backward pass.
struct Keeping {
  std::vector<BlockActivations>& activations;  // one per block
  size_t first_block = 0;                      // blocks below it keep nothing
  KeptActivations kept = KeptActivations::kAll;
};

// The stream after the last block. keeping: null if there is no backward pass.
at::Tensor RunBlocks(const Decoder& decoder, const std::vector<SequenceGroup>& groups,
                     const DropoutState& dropout, at::Tensor x, const Keeping* keeping,
                     PerturbedWeights* moved = nullptr) {
  for (size_t i = 0; i < decoder.weights.blocks.size(); ++i) {
    BlockContext context = ContextOf(decoder, i, groups);
    context.dropout = dropout;
    BlockActivations* saved = nullptr;
    if (keeping != nullptr && i >= keeping->first_block) {
      saved = &keeping->activations[i];
      if (keeping->kept == KeptActivations::kInputs) {
        saved->input = x;
        saved = nullptr;
      }
    }
    if (moved != nullptr) {
      moved->EnterLayer(i);
    }
    x = BlockForward(context, WeightsOf(decoder, moved).blocks[i], x, saved);
  }
  return x;
}

at::Tensor FinalNorm(const Decoder& decoder, const at::Tensor& x, NormActivations* saved,
                     const PerturbedWeights* moved = nullptr) {
  return NormForward(decoder.config.norm, decoder.config.norm_epsilon,
                     WeightsOf(decoder, moved).final_norm, x, saved);
}

void CapLogits(const Decoder& decoder, at::Tensor& logits) {
  if (const double cap = decoder.config.logit_softcap; cap > 0.0) {
    logits.div_(cap).tanh_().mul_(cap);
  }
}

at::Tensor MovedHeadLogits(const Decoder& decoder, const at::Tensor& hidden,
                           PerturbedWeights& moved) {
  at::Tensor logits = moved.HeadProduct(hidden);
  if (const at::Tensor& bias = moved.weights().head_bias; bias.defined()) {
    logits.add_(bias);
  }
  CapLogits(decoder, logits);
  return logits;
}

// The rows of one piece of the loss.
struct LossRows {
  at::Tensor where;    // int64: row numbers in the stream
  at::Tensor targets;  // int64
};

// Calls body for each `piece` rows that have a loss.
template <typename Body>
void ForEachLossRows(const TokenBatch& batch, int64_t piece, at::Device device, Body body) {
  const auto count = static_cast<int64_t>(batch.targets.size());
  for (int64_t start = 0; start < count; start += piece) {
    const auto first = static_cast<size_t>(start);
    const auto rows = static_cast<size_t>(std::min(piece, count - start));
    body(LossRows{
        .where = Indices(absl::MakeConstSpan(batch.predicting).subspan(first, rows), device),
        .targets = Indices(absl::MakeConstSpan(batch.targets).subspan(first, rows), device)});
  }
}

// float [rows, vocabulary]. x: the stream after the last block.
at::Tensor LogProbabilities(const Decoder& decoder, const at::Tensor& x, const at::Tensor& where,
                            PerturbedWeights* moved = nullptr) {
  const at::Tensor hidden = FinalNorm(decoder, x.index_select(0, where), nullptr, moved);
  return at::_log_softmax(
      moved == nullptr ? HeadLogits(decoder, hidden) : MovedHeadLogits(decoder, hidden, *moved), 1,
      /*half_to_float=*/false);
}

// x: the stream after the last block.
DeviceNumber HeadLoss(const Decoder& decoder, const TokenBatch& batch, const at::Tensor& x,
                      PerturbedWeights* moved) {
  DeviceNumber sum;
  ForEachLossRows(batch, models::kLossRows, x.device(), [&](const LossRows& rows) {
    sum += NegativeLogLikelihood(LogProbabilities(decoder, x, rows.where, moved), rows.targets);
  });
  return sum;
}

// moved: null: the decoder's own weights.
DeviceNumber ForwardLossSum(const Decoder& decoder, const TokenBatch& batch,
                            PerturbedWeights* moved) {
  const at::Tensor x = Embed(decoder, batch.groups, Indices(batch.tokens, decoder.device), moved);
  return HeadLoss(decoder, batch,
                  RunBlocks(decoder, batch.groups, DropoutState{}, x, nullptr, moved), moved);
}

// The head in the products of one backward pass, all of which read its matrix: rounded once, and
// padded with rows of zeros if the device prefers that.
class HeadOfPass {
 public:
  explicit HeadOfPass(const Decoder& decoder) : decoder_(decoder) {
    const at::Tensor& value = decoder.weights.head.value;
    if (!value.defined() || decoder.config.logit_softcap > 0.0) {
      return;
    }
    const at::Tensor rounded = Factor(value);
    const int64_t rows = OperationsOn(value).PaddedRows(FactorsOfThread(), value.size(0));
    if (rows > value.size(0)) {
      factor_ = at::zeros({rows, value.size(1)}, rounded.options());
      factor_.narrow(0, 0, value.size(0)).copy_(rounded);
    } else if (!rounded.is_same(value)) {
      factor_ = rounded;
    }
  }

  // The form of the final norm's output that the products read.
  [[nodiscard]] at::Tensor Input(const at::Tensor& hidden) const {
    return factor_.defined() ? Factor(hidden) : hidden;
  }
  // float [rows, vocabulary], with zeros at the end of each row if there are rows of zeros.
  [[nodiscard]] at::Tensor Logits(const at::Tensor& input) const {
    if (!factor_.defined()) {
      return HeadLogits(decoder_, input);
    }
    at::Tensor logits = Product(input, factor_.t()).narrow(1, 0, decoder_.config.vocabulary);
    return decoder_.weights.head_bias.defined() ? logits.add_(decoder_.weights.head_bias) : logits;
  }
  // grad_logits: gradient of the result of Logits. Adds to the gradient of the matrix, if there is
  // one; returns that of `hidden`.
  [[nodiscard]] at::Tensor Backward(const at::Tensor& grad_logits, const at::Tensor& input,
                                    MatrixWeights& gradient) const {
    const int64_t vocabulary = grad_logits.size(1);
    const at::Tensor factor =
        factor_.defined() ? Factor(grad_logits.as_strided({grad_logits.size(0), factor_.size(0)},
                                                          {grad_logits.stride(0), 1}))
                          : Factor(grad_logits);
    if (gradient.value.defined()) {
      AddMatrixGradient(factor.narrow(1, 0, vocabulary), input, gradient);
    }
    return factor_.defined() ? Product(factor, factor_)
                             : TransposedProduct(decoder_.weights.head, factor);
  }

 private:
  const Decoder& decoder_;
  at::Tensor factor_;  // [vocabulary and rows of zeros, width]; undefined: use the matrix itself
};

struct HeadGradient {
  DeviceNumber loss_sum = {};
  at::Tensor grad_x;
};

// HeadLoss with gradients: of x, and (added to `gradients`) of the final norm and the head.
HeadGradient HeadLossAndGradients(const Decoder& decoder, const TokenBatch& batch,
                                  const at::Tensor& x, double gradient_scale,
                                  DecoderWeights& gradients, KeptActivations kept) {
  HeadGradient result{.grad_x = at::zeros_like(x)};
  const double cap = decoder.config.logit_softcap;
  const HeadOfPass head(decoder);
  const int64_t piece =
      models::LossRowsOfBackward(decoder.config.vocabulary, kept == KeptActivations::kInputs);
  ForEachLossRows(batch, piece, x.device(), [&](const LossRows& rows) {
    const at::Tensor rows_x = x.index_select(0, rows.where);
    NormActivations norm;
    const at::Tensor input = head.Input(FinalNorm(decoder, rows_x, &norm));
    at::Tensor logits = head.Logits(input);
    at::Tensor grad_logits = cap > 0.0 ? logits.clone() : logits;
    result.loss_sum +=
        OperationsOn(grad_logits).CrossEntropyToGradient(rows.targets, gradient_scale, grad_logits);
    if (cap > 0.0) {
      grad_logits.sub_(grad_logits * logits.div_(cap).square_());  // times 1 - tanh²
    }
    if (gradients.head_bias.defined()) {
      gradients.head_bias.add_(grad_logits.sum(0));
    }
    const at::Tensor grad_rows =
        NormBackward(decoder.config.norm, decoder.weights.final_norm, norm, rows_x,
                     head.Backward(grad_logits, input, gradients.head), gradients.final_norm);
    result.grad_x.index_copy_(0, rows.where, grad_rows);
  });
  if (gradients.head.unwritten) {  // no row has a loss
    gradients.head.value.zero_();
    gradients.head.unwritten = false;
  }
  return result;
}

}  // namespace

DeviceNumber NegativeLogLikelihood(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return DeviceNumber(log_probabilities.gather(1, targets.unsqueeze(1)).sum(at::kDouble).neg_());
}

BlockContext ContextOf(const Decoder& decoder, size_t layer, std::vector<SequenceGroup> groups) {
  BlockContext context{.config = decoder.config};
  context.layer = static_cast<int64_t>(layer);
  context.groups = std::move(groups);
  context.rotary = decoder.rotary.empty() ? nullptr : &decoder.rotary[layer];
  context.int8_keys_and_values = decoder.int8_keys_and_values;
  return context;
}

at::Tensor EmbedTokens(const Decoder& decoder, absl::Span<const int64_t> tokens) {
  const SequenceGroup group{.sequences = 1, .tokens = static_cast<int64_t>(tokens.size())};
  return Embed(decoder, {group}, Indices(tokens, decoder.device));
}

at::Tensor HeadLogits(const Decoder& decoder, const at::Tensor& hidden) {
  at::Tensor logits = MatrixProduct(decoder.weights.head, hidden, decoder.weights.head_bias);
  CapLogits(decoder, logits);
  return logits;
}

at::Tensor HeadInput(const Decoder& decoder, const at::Tensor& x) {
  return FinalNorm(decoder, x, nullptr);
}

Decoder MakeDecoder(models::DecoderConfig config, DecoderWeights weights, at::Device device) {
  Decoder decoder;
  decoder.config = std::move(config);
  decoder.weights = std::move(weights);
  decoder.device = device;
  if (const auto offset = decoder.config.sinusoidal_offset; offset.has_value()) {
    decoder.sinusoids =
        SinusoidalPositions(decoder.config.max_positions, *offset, decoder.config.width, device);
  }
  for (size_t i = 0; i < decoder.config.layers.size(); ++i) {
    const std::optional<models::Rotary>& rotary = decoder.config.layers[i].rotary;
    if (!rotary.has_value()) {
      continue;
    }
    // Layers with equal descriptions share a table.
    const bool same = i > 0 && decoder.config.layers[i - 1].rotary == rotary;
    decoder.rotary.push_back(same ? decoder.rotary.back()
                                  : MakeRotaryTable(*rotary, decoder.config.max_positions, device));
  }
  WATTLE_CHECK(decoder.rotary.empty() || decoder.rotary.size() == decoder.config.layers.size(),
               "all layers of a model have rotary positions, or none has");
  return decoder;
}

double LossSum(const Decoder& decoder, const TokenBatch& batch) {
  return PendingLossSum(decoder, batch).Read();
}

DeviceNumber PendingLossSum(const Decoder& decoder, const TokenBatch& batch) {
  return ForwardLossSum(decoder, batch, nullptr);
}

DeviceNumber PendingLossSum(const Decoder& decoder, const TokenBatch& batch,
                            PerturbedWeights& weights) {
  return ForwardLossSum(decoder, batch, &weights);
}

ComparisonSums CompareWith(const Decoder& decoder, const Decoder& reference,
                           const TokenBatch& batch) {
  const auto stream = [&](const Decoder& of) {
    const at::Tensor x = Embed(of, batch.groups, Indices(batch.tokens, of.device));
    return RunBlocks(of, batch.groups, DropoutState{}, x, nullptr);
  };
  const at::Tensor x = stream(decoder);
  const at::Tensor reference_x = stream(reference);
  ComparisonSums sums;
  ForEachLossRows(batch, models::kLossRows, x.device(), [&](const LossRows& rows) {
    const at::Tensor log_p = LogProbabilities(decoder, x, rows.where);
    const at::Tensor log_q = LogProbabilities(reference, reference_x, rows.where);
    sums.loss += NegativeLogLikelihood(log_p, rows.targets).Read();
    sums.reference_loss += NegativeLogLikelihood(log_q, rows.targets).Read();
    sums.divergence += log_q.exp().mul_(log_q - log_p).sum(at::kDouble).item<double>();
    sums.same_top += log_p.argmax(1).eq(log_q.argmax(1)).sum().item<int64_t>();
  });
  return sums;
}

double LossSumAndGradients(const Decoder& decoder, const TokenBatch& batch,
                           const DropoutState& dropout, double gradient_scale,
                           DecoderWeights& gradients, KeptActivations kept) {
  const auto go_on = [](const models::ModelPart& /*part*/, const DeviceNumber& /*loss_sum*/) {
    return true;
  };
  return LossSumAndGradientsByParts(decoder, batch, dropout, gradient_scale, gradients, kept, go_on)
      .Read();
}

DeviceNumber LossSumAndGradientsByParts(const Decoder& decoder, const TokenBatch& batch,
                                        const DropoutState& dropout, double gradient_scale,
                                        DecoderWeights& gradients, KeptActivations kept,
                                        GradientsComplete complete) {
  const at::Tensor tokens = Indices(batch.tokens, decoder.device);
  at::Tensor x = Embed(decoder, batch.groups, tokens);
  DropInPlace(dropout, kernels::RandomUse::kEmbeddingDropout, 0, decoder.config.embedding_dropout,
              x);
  std::vector<BlockActivations> activations(decoder.weights.blocks.size());
  const size_t lowest = LowestLearningBlock(gradients);
  const Keeping keeping{.activations = activations, .first_block = lowest, .kept = kept};
  x = RunBlocks(decoder, batch.groups, dropout, x, &keeping);
  HeadGradient head = HeadLossAndGradients(decoder, batch, x, gradient_scale, gradients, kept);
  const DeviceNumber sum = head.loss_sum;
  at::Tensor grad = std::move(head.grad_x);
  if (!complete({models::PartKind::kHead}, sum)) {
    return sum;
  }
  for (size_t i = activations.size(); i-- > lowest;) {
    BlockContext context = ContextOf(decoder, i, batch.groups);
    context.dropout = dropout;
    if (kept == KeptActivations::kInputs) {
      const at::Tensor input = activations[i].input;
      BlockForward(context, decoder.weights.blocks[i], input, &activations[i]);
    }
    grad = BlockBackward(context, decoder.weights.blocks[i], activations[i], grad,
                         gradients.blocks[i]);
    activations[i] = BlockActivations{};  // releases its memory for the next block
    if (!complete({models::PartKind::kBlock, static_cast<int64_t>(i)}, sum)) {
      return sum;
    }
  }
  if (LearnsTables(gradients)) {
    DropInPlace(dropout, kernels::RandomUse::kEmbeddingDropout, 0, decoder.config.embedding_dropout,
                grad);
    EmbedBackward(decoder, batch, tokens, grad, gradients);
    complete({models::PartKind::kTables}, sum);
  }
  return sum;
}

at::Tensor HiddenStates(const Decoder& decoder, const TokenBatch& batch) {
  const at::Tensor x = Embed(decoder, batch.groups, Indices(batch.tokens, decoder.device));
  return HeadInput(decoder, RunBlocks(decoder, batch.groups, DropoutState{}, x, nullptr));
}

at::Tensor AllLogits(const Decoder& decoder, const TokenBatch& batch) {
  return HeadLogits(decoder, HiddenStates(decoder, batch));
}

namespace {

SequenceGroup Following(const KeyValueCache& cache, int64_t slot, int64_t count) {
  return {.sequences = 1, .tokens = count, .first_position = cache.length(slot)};
}

// The logits after the last of the new tokens; x has their rows.
at::Tensor LogitsOfRows(const Decoder& decoder, const SequenceGroup& group, at::Tensor x,
                        KeyValueCache& cache, int64_t slot) {
  for (size_t i = 0; i < decoder.weights.blocks.size(); ++i) {
    BlockContext context = ContextOf(decoder, i, {group});
    context.cache = &cache;
    context.slot = slot;
    x = BlockForward(context, decoder.weights.blocks[i], x, nullptr);
  }
  cache.Advance(slot, group.tokens);
  const at::Tensor hidden = FinalNorm(decoder, x.narrow(0, group.tokens - 1, 1), nullptr);
  return HeadLogits(decoder, hidden).view({-1});
}

}  // namespace

at::Tensor DecodeLogits(const Decoder& decoder, absl::Span<const int64_t> tokens,
                        KeyValueCache& cache, int64_t slot) {
  const SequenceGroup group = Following(cache, slot, static_cast<int64_t>(tokens.size()));
  at::Tensor x = Embed(decoder, {group}, Indices(tokens, decoder.device));  // released early
  return LogitsOfRows(decoder, group, std::move(x), cache, slot);
}

at::Tensor DecodeLogits(const Decoder& decoder, const at::Tensor& tokens, KeyValueCache& cache,
                        int64_t slot) {
  const SequenceGroup group = Following(cache, slot, tokens.size(0));
  return LogitsOfRows(decoder, group, Embed(decoder, {group}, tokens), cache, slot);
}

}  // namespace wattle::engine
