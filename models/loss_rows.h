// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How many rows of logits exist at the same time. The loss is computed in pieces of rows, because
// logits of every token would be the largest tensor of a pass.
#ifndef WATTLE_MODELS_LOSS_ROWS_H_
#define WATTLE_MODELS_LOSS_ROWS_H_

#include <algorithm>
#include <cstdint>

namespace wattle::models {

// Rows of a piece without a backward pass.
inline constexpr int64_t kLossRows = 256;

// Rows of a piece with a backward pass, a multiple of 64. Every piece packs the head's matrix twice
// and passes over its gradient once, so a piece has as many rows as 128 MiB of logits allow, but
// never more than half of the rows of the usual batch of 1,024 tokens. With activation
// checkpointing memory matters more than speed, and a piece is no larger than without a backward
// pass.
constexpr int64_t LossRowsOfBackward(int64_t vocabulary, bool checkpointing) {
  constexpr int64_t kLogits = 1 << 25;
  constexpr int64_t kMultiple = 64;
  constexpr int64_t kRowsMax = 512;
  if (checkpointing) {
    return kLossRows;
  }
  return std::clamp(kLogits / vocabulary / kMultiple * kMultiple, kLossRows, kRowsMax);
}

}  // namespace wattle::models

#endif  // WATTLE_MODELS_LOSS_ROWS_H_
