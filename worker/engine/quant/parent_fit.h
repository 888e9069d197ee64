// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The distance of a quantized model from its parent, the model that it was made from, on text that
// was not used for its rounding. The parent itself need not be in memory: a ParentPass has the
// inputs of its head. May throw libtorch's exceptions. Pure.
#ifndef WATTLE_WORKER_ENGINE_QUANT_PARENT_FIT_H_
#define WATTLE_WORKER_ENGINE_QUANT_PARENT_FIT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/models/decoder.h"
#include "worker/engine/quant/calibrate.h"

namespace wattle::engine {

// Splits calibration text in two: every eighth sequence is for measuring, so fewer than eight leave
// none.
struct SplitText {
  CalibrationText calibrating;
  CalibrationText measuring;
};
inline constexpr size_t kMeasuresEvery = 8;
[[nodiscard]] SplitText SplitCalibrationText(const CalibrationText& text);

// Means over the predicted tokens.
struct ParentFit {
  double divergence = 0.0;      // KL(parent, model) in nats
  double loss = 0.0;            // negative log-likelihood in nats …
  double parent_loss = 0.0;     // … and the parent's
  double top1_agreement = 0.0;  // share of tokens with the same most likely token in both models
  int64_t predicted_tokens = 0;

  [[nodiscard]] double perplexity_change_percent() const;
};

// parent: filled by QuantizeCalibrated.
[[nodiscard]] ParentFit FitToParent(const Decoder& decoder, const ParentPass& parent);

// FitToParent starting at a layer, for a caller that changes one layer at a time. streams: the
// input of `first_layer` for each of parent.text's sequences, float [tokens, width].
[[nodiscard]] ParentFit FitToParentFrom(const Decoder& decoder, size_t first_layer,
                                        const std::vector<at::Tensor>& streams,
                                        const ParentPass& parent);

// The streams before layer 0.
[[nodiscard]] std::vector<at::Tensor> EmbedSequences(const Decoder& decoder,
                                                     const CalibrationText& text);
// The output of one layer for a stream.
[[nodiscard]] at::Tensor ThroughLayer(const Decoder& decoder, size_t layer, const at::Tensor& x);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_PARENT_FIT_H_
