// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/token_batch.h"

#include <algorithm>

namespace wattle::engine {

TokenBatch MakeTokenBatch(absl::Span<const formats::PackedExample* const> examples) {
  TokenBatch batch;
  batch.batch = static_cast<int64_t>(examples.size());
  for (const formats::PackedExample* example : examples) {
    batch.length = std::max(batch.length, static_cast<int64_t>(example->tokens.size()));
  }
  // Any token pads: causality hides it. 0 is in every vocabulary.
  batch.tokens.assign(static_cast<size_t>(batch.batch * batch.length), 0);
  for (size_t i = 0; i < examples.size(); ++i) {
    const formats::PackedExample& example = *examples[i];
    const size_t start = i * static_cast<size_t>(batch.length);
    std::copy(example.tokens.begin(), example.tokens.end(),
              batch.tokens.begin() + static_cast<std::ptrdiff_t>(start));
    batch.real_tokens += static_cast<int64_t>(example.tokens.size());
    for (size_t t = 1; t < example.tokens.size(); ++t) {
      if (example.loss_mask[t] != 0) {
        batch.predicting.push_back(static_cast<int64_t>(start + t) - 1);
        batch.targets.push_back(example.tokens[t]);
      }
    }
  }
  return batch;
}

int64_t CountTargets(const formats::PackedExample& example) {
  return example.loss_mask.empty()
             ? 0
             : std::count_if(example.loss_mask.begin() + 1, example.loss_mask.end(),
                             [](uint8_t mask) { return mask != 0; });
}

}  // namespace wattle::engine
