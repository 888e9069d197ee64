// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The whole decoder: tables, blocks, final norm, head and loss. Computes the loss with gradients,
// the loss without, and the logits of the last token with a cache. Not thread-safe on one set of
// weights being trained.
#ifndef WATTLE_WORKER_ENGINE_MODELS_DECODER_H_
#define WATTLE_WORKER_ENGINE_MODELS_DECODER_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"
#include "models/model_part.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/models/attention.h"
#include "worker/engine/models/key_value_cache.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/positions.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

struct Decoder {
  models::DecoderConfig config;
  DecoderWeights weights;
  at::Device device = at::Device(at::kCPU);
  std::vector<RotaryTable> rotary;  // one per layer; empty without rotary positions
  at::Tensor sinusoids;  // float [max_positions, width]; undefined without sinusoidal positions
  // Attention rounds queries, keys and values to int8 with one scale for each position of each
  // head.
  bool int8_keys_and_values = false;
};

// A decoder over weights on `device`.
[[nodiscard]] Decoder MakeDecoder(models::DecoderConfig config, DecoderWeights weights,
                                  at::Device device);

// Sum of the negative log-likelihoods of rows' targets. log_probabilities: float [rows,
// vocabulary]; targets: int64 [rows].
DeviceNumber NegativeLogLikelihood(const at::Tensor& log_probabilities, const at::Tensor& targets);

// Sum over batch.predicting of the negative log-likelihood of its target, in nats. Never allocates
// tokens x vocabulary (models/loss_rows.h), and never computes a row without loss.
double LossSum(const Decoder& decoder, const TokenBatch& batch);
// LossSum without waiting for the device.
DeviceNumber PendingLossSum(const Decoder& decoder, const TokenBatch& batch);

// Kept by a block from its forward to its backward pass.
enum class KeptActivations {
  kAll,
  kInputs,  // checkpointing: only the block's input; the rest is recomputed, to the same bits
};

// LossSum with dropout, which adds gradient_scale * ∂(sum)/∂w to `gradients` (gradient_scale is 1 /
// predictions of the step). Undefined gradients are not computed; if the lowest blocks and the
// tables have none, the backward pass ends above them and keeps nothing for them.
double LossSumAndGradients(const Decoder& decoder, const TokenBatch& batch,
                           const DropoutState& dropout, double gradient_scale,
                           DecoderWeights& gradients, KeptActivations kept = KeptActivations::kAll);

// Called when the gradients of a part are complete: after that the pass neither adds to them nor
// reads the part's weights. Order: the head, then each block of the backward pass, from the last to
// the first, then the tables. loss_sum: the result of LossSumAndGradients. Return false to end the
// pass.
using GradientsComplete =
    absl::FunctionRef<bool(const models::ModelPart& part, const DeviceNumber& loss_sum)>;

// Variant for callers that use the gradients of each part as soon as they are complete, so that one
// buffer can serve many parts (train/updates_in_backward.h).
DeviceNumber LossSumAndGradientsByParts(const Decoder& decoder, const TokenBatch& batch,
                                        const DropoutState& dropout, double gradient_scale,
                                        DecoderWeights& gradients, KeptActivations kept,
                                        GradientsComplete complete);

// Sums over batch.predicting of two models on the same tokens.
struct ComparisonSums {
  double loss = 0.0;            // negative log-likelihood of the targets in nats …
  double reference_loss = 0.0;  // … and that of the reference
  double divergence = 0.0;      // Σ_t q_t ln(q_t / p_t) with the reference's q, in nats
  int64_t same_top = 0;         // positions at which both models have the same most likely token

  ComparisonSums& operator+=(const ComparisonSums& other) {
    loss += other.loss;
    reference_loss += other.reference_loss;
    divergence += other.divergence;
    same_top += other.same_top;
    return *this;
  }
};

// Both decoders must have the same vocabulary. Two sets of logits exist at the same time.
ComparisonSums CompareWith(const Decoder& decoder, const Decoder& reference,
                           const TokenBatch& batch);

// The parts of a pass, for callers that process a model layer by layer (quant/calibrate.h). tokens:
// one sequence from position 0 on → float [tokens, width].
at::Tensor EmbedTokens(const Decoder& decoder, absl::Span<const int64_t> tokens);
// The context for BlockForward of a layer.
[[nodiscard]] BlockContext ContextOf(const Decoder& decoder, size_t layer,
                                     std::vector<SequenceGroup> groups);
// x: float [rows, width], the stream after the last block → the head's input.
at::Tensor HeadInput(const Decoder& decoder, const at::Tensor& x);
// The head and its cap. hidden: float [rows, width], the head's input → float [rows, vocabulary].
at::Tensor HeadLogits(const Decoder& decoder, const at::Tensor& hidden);

// The head's input at every position, including padding: float [rows, width].
at::Tensor HiddenStates(const Decoder& decoder, const TokenBatch& batch);

// Logits of every position: float [rows, vocabulary]. For tests and small inputs.
at::Tensor AllLogits(const Decoder& decoder, const TokenBatch& batch);

// Appends tokens to the cache's slot; returns the logits after the last one: float [vocabulary].
at::Tensor DecodeLogits(const Decoder& decoder, absl::Span<const int64_t> tokens,
                        KeyValueCache& cache, int64_t slot);
// Does the same with tokens on the decoder's device: int64 [count].
at::Tensor DecodeLogits(const Decoder& decoder, const at::Tensor& tokens, KeyValueCache& cache,
                        int64_t slot);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_DECODER_H_
