// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/token_batch.h"

#include <algorithm>

namespace wattle::engine {

TokenBatch MakeTokenBatch(const formats::ExamplePool& pool, absl::Span<const size_t> examples) {
  TokenBatch batch;
  batch.batch = static_cast<int64_t>(examples.size());
  for (const size_t example : examples) {
    batch.length = std::max(batch.length, static_cast<int64_t>(pool.TokenCount(example)));
  }
  // Any token pads: causality hides it. 0 is in every vocabulary.
  batch.tokens.assign(static_cast<size_t>(batch.batch * batch.length), 0);
  int64_t row_start = 0;
  for (const size_t example : examples) {
    int64_t place = row_start;
    pool.ForEachToken(example, [&](int64_t token, bool counts) {
      batch.tokens[static_cast<size_t>(place)] = token;
      if (counts) {
        batch.predicting.push_back(place - 1);
        batch.targets.push_back(token);
      }
      ++place;
    });
    batch.real_tokens += place - row_start;
    row_start += batch.length;
  }
  return batch;
}

}  // namespace wattle::engine
