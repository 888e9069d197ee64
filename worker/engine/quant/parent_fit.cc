// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/parent_fit.h"

#include <algorithm>
#include <cmath>

#include "models/loss_rows.h"
#include "worker/engine/models/block.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

SplitText SplitCalibrationText(const CalibrationText& text) {
  SplitText split;
  for (size_t i = 0; i < text.size(); ++i) {
    (i % kMeasuresEvery == kMeasuresEvery - 1 ? split.measuring : split.calibrating)
        .push_back(text[i]);
  }
  return split;
}

double ParentFit::perplexity_change_percent() const {
  return 100.0 * std::expm1(loss - parent_loss);
}

std::vector<at::Tensor> EmbedSequences(const Decoder& decoder, const CalibrationText& text) {
  std::vector<at::Tensor> streams;
  for (const std::vector<int64_t>& sequence : text) {
    streams.push_back(EmbedTokens(decoder, sequence));
  }
  return streams;
}

at::Tensor ThroughLayer(const Decoder& decoder, size_t layer, const at::Tensor& x) {
  return BlockForward(ContextOf(decoder, layer, {{1, x.size(0)}}), decoder.weights.blocks[layer], x,
                      nullptr);
}

ParentFit FitToParentFrom(const Decoder& decoder, size_t first_layer,
                          const std::vector<at::Tensor>& streams, const ParentPass& parent) {
  ParentFit fit;
  Decoder parent_head = decoder;  // shares the tensors; only the head is the parent's
  // The quantized head would hide its own error, so the parent's outputs go through the parent's
  // head.
  parent_head.weights.head = MatrixWeights();
  parent_head.weights.head.value = parent.head;
  for (size_t i = 0; i < streams.size(); ++i) {
    at::Tensor x = streams[i];
    for (size_t layer = first_layer; layer < decoder.weights.blocks.size(); ++layer) {
      x = ThroughLayer(decoder, layer, x);
    }
    const at::Tensor hidden = HeadInput(decoder, x);
    const std::vector<int64_t>& tokens = parent.text[i];
    const auto count = static_cast<int64_t>(tokens.size()) - 1;
    // In pieces of rows, because logits of a whole sequence would be the largest tensor
    // (models/loss_rows.h).
    for (int64_t first = 0; first < count; first += models::kLossRows) {
      const int64_t rows = std::min(models::kLossRows, count - first);
      const at::Tensor targets =
          at::tensor(at::ArrayRef<int64_t>(tokens.data() + first + 1, static_cast<size_t>(rows)))
              .unsqueeze(1);
      const at::Tensor log_p =
          at::log_softmax(HeadLogits(decoder, hidden.narrow(0, first, rows)), 1);
      const at::Tensor log_q =
          at::log_softmax(HeadLogits(parent_head, parent.outputs[i].narrow(0, first, rows)), 1);
      // Sums in doubles: the differences between model and parent are small compared with the sums.
      fit.loss -= log_p.gather(1, targets).sum(at::kDouble).item<double>();
      fit.parent_loss -= log_q.gather(1, targets).sum(at::kDouble).item<double>();
      fit.top1_agreement += log_p.argmax(1).eq(log_q.argmax(1)).sum().item<double>();
      fit.divergence += log_q.exp().mul_(log_q - log_p).sum(at::kDouble).item<double>();
    }
    fit.predicted_tokens += count;
  }
  // Sequences of one token predict nothing; the maximum avoids a division by zero.
  const double scale = 1.0 / static_cast<double>(std::max<int64_t>(1, fit.predicted_tokens));
  fit.loss *= scale;
  fit.parent_loss *= scale;
  fit.divergence *= scale;
  fit.top1_agreement *= scale;
  return fit;
}

ParentFit FitToParent(const Decoder& decoder, const ParentPass& parent) {
  return FitToParentFrom(decoder, 0, EmbedSequences(decoder, parent.text), parent);
}

}  // namespace wattle::engine
