// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Examples as the rows of one pass of the model: padded to a rectangle, or packed one behind the
// other. Plain values.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_
#define WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "formats/example_pool.h"

namespace wattle::engine {

// Sequences of one length, one behind the other in the rows of the stream. Attention never leaves a
// sequence, and each has positions of its own.
struct SequenceGroup {
  int64_t sequences = 0;
  int64_t tokens = 0;          // of each sequence, padding included
  int64_t first_position = 0;  // of each sequence: more than 0 where it goes on behind a cache

  [[nodiscard]] int64_t rows() const { return sequences * tokens; }
};

enum class BatchForm {
  kPadded,  // one group: every example has the length of the longest, padded at its end
  kPacked,  // a group for each example, without padding
};

struct TokenBatch {
  std::vector<SequenceGroup> groups;
  int64_t examples = 0;
  int64_t real_tokens = 0;          // without padding
  std::vector<int64_t> tokens;      // of each row, group by group
  std::vector<int64_t> predicting;  // indices into tokens: the positions whose prediction counts …
  std::vector<int64_t> targets;     // … and the token that each of them has to predict

  // Padding included.
  [[nodiscard]] int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
};

// The examples with these numbers in the pool. A token that counts is the target of the position
// before it, which is of the same example in both forms.
TokenBatch MakeTokenBatch(const formats::ExamplePool& pool, absl::Span<const size_t> examples,
                          BatchForm form = BatchForm::kPadded);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_
