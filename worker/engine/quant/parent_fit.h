// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How near a quantized model is to the model that it was made from, on text that its rounding did
// not see. The parent itself need not be in memory: a ParentPass holds what its head read. May
// throw libtorch's exceptions. Pure.
#ifndef WATTLE_WORKER_ENGINE_QUANT_PARENT_FIT_H_
#define WATTLE_WORKER_ENGINE_QUANT_PARENT_FIT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/models/decoder.h"
#include "worker/engine/quant/calibrate.h"

namespace wattle::engine {

// Calibration text in two: every eighth sequence measures, so less than eight leave nothing for
// that.
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
  double top1_agreement = 0.0;  // share of the tokens of which both find the same most likely
  int64_t predicted_tokens = 0;

  [[nodiscard]] double perplexity_change_percent() const;
};

// parent: filled by QuantizeCalibrated.
[[nodiscard]] ParentFit FitToParent(const Decoder& decoder, const ParentPass& parent);

// The same from a layer on, for a caller who changes one layer at a time. streams: of each of
// parent.text's sequences before `first_layer`, float [tokens, width].
[[nodiscard]] ParentFit FitToParentFrom(const Decoder& decoder, size_t first_layer,
                                        const std::vector<at::Tensor>& streams,
                                        const ParentPass& parent);

// The streams before layer 0.
[[nodiscard]] std::vector<at::Tensor> EmbedSequences(const Decoder& decoder,
                                                     const CalibrationText& text);
// A stream through one layer.
[[nodiscard]] at::Tensor ThroughLayer(const Decoder& decoder, size_t layer, const at::Tensor& x);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_PARENT_FIT_H_
