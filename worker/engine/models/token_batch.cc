// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/token_batch.h"

#include <algorithm>

namespace wattle::engine {
namespace {

// Any token pads: causality hides it. 0 is in every vocabulary.
constexpr int64_t kPadding = 0;

std::vector<SequenceGroup> GroupsOf(const formats::ExamplePool& pool,
                                    absl::Span<const size_t> examples, BatchForm form) {
  std::vector<SequenceGroup> groups;
  for (const size_t example : examples) {
    const auto tokens = static_cast<int64_t>(pool.TokenCount(example));
    if (form == BatchForm::kPacked || groups.empty()) {
      groups.push_back({.sequences = 1, .tokens = tokens});
    } else {
      ++groups[0].sequences;
      groups[0].tokens = std::max(groups[0].tokens, tokens);
    }
  }
  return groups;
}

}  // namespace

TokenBatch MakeTokenBatch(const formats::ExamplePool& pool, absl::Span<const size_t> examples,
                          BatchForm form) {
  TokenBatch batch;
  batch.groups = GroupsOf(pool, examples, form);
  batch.examples = static_cast<int64_t>(examples.size());
  for (const size_t example : examples) {
    const size_t row_start = batch.tokens.size();
    pool.ForEachToken(example, [&](int64_t token, bool counts) {
      if (counts) {
        batch.predicting.push_back(batch.rows() - 1);
        batch.targets.push_back(token);
      }
      batch.tokens.push_back(token);
    });
    batch.real_tokens += static_cast<int64_t>(batch.tokens.size() - row_start);
    if (form == BatchForm::kPadded) {
      batch.tokens.resize(row_start + static_cast<size_t>(batch.groups[0].tokens), kPadding);
    }
  }
  return batch;
}

}  // namespace wattle::engine
