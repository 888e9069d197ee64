// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Training and evaluation examples as ranges of one pool of tokens. Examples that share text share
// its tokens: several questions share a paragraph, two windows share their overlap. A token of the
// pool takes 4 bytes; an example takes about 50 bytes more. Filling a pool is not thread-safe; a
// filled pool is.
#ifndef WATTLE_FORMATS_EXAMPLE_POOL_H_
#define WATTLE_FORMATS_EXAMPLE_POOL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace wattle::formats {

// Tokens [begin, begin + size) of the pool.
struct TokenRange {
  size_t begin = 0;
  size_t size = 0;
  bool counts = false;  // the loss includes the predictions of these tokens
};

class ExamplePool {
 public:
  // Stores tokens and returns the range's begin. tokens: each from 0 to 2^32 - 1.
  size_t AddTokens(absl::Span<const int64_t> tokens);
  // Adds an example: the ranges, concatenated. The first token of an example has no prediction, so
  // its range's `counts` does not affect it.
  void AddExample(absl::Span<const TokenRange> ranges);

  [[nodiscard]] size_t size() const { return examples_.size(); }
  [[nodiscard]] bool empty() const { return examples_.empty(); }
  // Keeps the first `count` examples.
  void Truncate(size_t count);

  [[nodiscard]] absl::Span<const TokenRange> Ranges(size_t example) const;
  // How many tokens the example has, and how many of their predictions count.
  [[nodiscard]] size_t TokenCount(size_t example) const { return examples_[example].tokens; }
  [[nodiscard]] size_t TargetCount(size_t example) const { return examples_[example].targets; }

  // Calls visit(token, counts) for each token of the example, in order. The first never counts.
  template <typename Visit>
  void ForEachToken(size_t example, Visit visit) const {
    bool first = true;
    for (const TokenRange& range : Ranges(example)) {
      for (size_t i = range.begin; i < range.begin + range.size; ++i) {
        visit(static_cast<int64_t>(tokens_[i]), range.counts && !first);
        first = false;
      }
    }
  }
  [[nodiscard]] std::vector<int64_t> Tokens(size_t example) const;
  // The length of the common beginning of both examples that is only context: none of its
  // predictions count, nor does that of the token after it. Both examples have at least one token
  // after it.
  [[nodiscard]] size_t CommonBeginning(size_t example, size_t other) const;

 private:
  struct Example {
    size_t first_range = 0;
    uint32_t ranges = 0;
    uint32_t tokens = 0;
    uint32_t targets = 0;
  };
  // Number of the example's tokens before the token whose successor counts, excluding the last
  // token.
  [[nodiscard]] size_t TokensOfContext(size_t example) const;

  std::vector<uint32_t> tokens_;
  std::vector<TokenRange> ranges_;
  std::vector<Example> examples_;
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_EXAMPLE_POOL_H_
