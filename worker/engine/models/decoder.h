// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The whole decoder: tables, blocks, final norm, head and loss. The forms that jobs need: loss with
// gradients, loss alone, and logits of the last token with a cache. Not thread-safe on one set of
// weights being trained.
#ifndef WATTLE_WORKER_ENGINE_MODELS_DECODER_H_
#define WATTLE_WORKER_ENGINE_MODELS_DECODER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"
#include "worker/engine/models/attention.h"
#include "worker/engine/models/key_value_cache.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/rotary.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

// Rows of logits that exist at once: the loss never holds tokens x vocabulary, and a row without
// loss is never computed.
inline constexpr int64_t kLossRows = 256;

struct Decoder {
  models::DecoderConfig config;
  DecoderWeights weights;
  at::Device device = at::Device(at::kCPU);
  std::vector<RotaryTable> rotary;  // of each layer; empty without rotary positions
};

// A decoder over weights that lie on `device`.
[[nodiscard]] Decoder MakeDecoder(models::DecoderConfig config, DecoderWeights weights,
                                  at::Device device);

// Sum over batch.predicting of the negative log-likelihood of its target, in nats.
double LossSum(const Decoder& decoder, const TokenBatch& batch);

// The same with dropout, and adds gradient_scale * ∂(sum)/∂w to `gradients` (gradient_scale is 1 /
// predictions of the step). Undefined gradients are not computed.
double LossSumAndGradients(const Decoder& decoder, const TokenBatch& batch,
                           const DropoutState& dropout, double gradient_scale,
                           DecoderWeights& gradients);

// Logits of every position: float [batch * length, vocabulary]. For tests and small inputs.
at::Tensor AllLogits(const Decoder& decoder, const TokenBatch& batch);

// Feeds the tokens that follow those in the cache's slot; returns the logits after the last one:
// float [vocabulary].
at::Tensor DecodeLogits(const Decoder& decoder, absl::Span<const int64_t> tokens,
                        KeyValueCache& cache, int64_t slot);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_DECODER_H_
