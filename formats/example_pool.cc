// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/example_pool.h"

#include <algorithm>

namespace wattle::formats {

size_t ExamplePool::AddTokens(absl::Span<const int64_t> tokens) {
  const size_t begin = tokens_.size();
  for (const int64_t token : tokens) {
    tokens_.push_back(static_cast<uint32_t>(token));
  }
  return begin;
}

void ExamplePool::AddExample(absl::Span<const TokenRange> ranges) {
  Example example{.first_range = ranges_.size()};
  for (const TokenRange& range : ranges) {
    if (range.size == 0) {
      continue;
    }
    const bool holds_first = example.tokens == 0;
    example.tokens += static_cast<uint32_t>(range.size);
    example.targets += static_cast<uint32_t>(range.counts ? range.size - (holds_first ? 1 : 0) : 0);
    ++example.ranges;
    ranges_.push_back(range);
  }
  examples_.push_back(example);
}

void ExamplePool::Truncate(size_t count) {
  examples_.resize(std::min(count, examples_.size()));
}

absl::Span<const TokenRange> ExamplePool::Ranges(size_t example) const {
  return absl::MakeConstSpan(ranges_).subspan(examples_[example].first_range,
                                              examples_[example].ranges);
}

size_t ExamplePool::TokensOfContext(size_t example) const {
  size_t tokens = 0;
  for (const TokenRange& range : Ranges(example)) {
    // The first token of an example has no prediction; the second is the first that can count.
    if (range.counts) {
      return tokens == 0 ? 0 : tokens - 1;
    }
    tokens += range.size;
  }
  return tokens == 0 ? 0 : tokens - 1;
}

size_t ExamplePool::CommonBeginning(size_t example, size_t other) const {
  const size_t limit = std::min(TokensOfContext(example), TokensOfContext(other));
  const absl::Span<const TokenRange> ranges[] = {Ranges(example), Ranges(other)};
  size_t place[] = {0, 0};  // index of the current range
  size_t done[] = {0, 0};   // tokens of the current range
  size_t common = 0;
  while (common < limit) {
    uint32_t next[2];
    for (size_t i = 0; i < 2; ++i) {
      next[i] = tokens_[ranges[i][place[i]].begin + done[i]];
      if (++done[i] == ranges[i][place[i]].size) {
        ++place[i];
        done[i] = 0;
      }
    }
    if (next[0] != next[1]) {
      break;
    }
    ++common;
  }
  return common;
}

std::vector<int64_t> ExamplePool::Tokens(size_t example) const {
  std::vector<int64_t> tokens;
  tokens.reserve(TokenCount(example));
  ForEachToken(example, [&](int64_t token, bool /*counts*/) { tokens.push_back(token); });
  return tokens;
}

}  // namespace wattle::formats
