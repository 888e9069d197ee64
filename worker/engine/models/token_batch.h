// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Examples as the rows of one pass of the model: padded to a rectangle, or packed one after the
// other. Plain values.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_
#define WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "formats/example_pool.h"

namespace wattle::engine {

// Sequences of one length, one after the other in the rows of the stream. Attention never leaves a
// sequence, and each has its own positions.
struct SequenceGroup {
  int64_t sequences = 0;
  int64_t tokens = 0;          // of each sequence, including padding
  int64_t first_position = 0;  // of each sequence: more than 0 if it continues a cache
  // For one sequence shared by examples: the number of tokens of each example after the common
  // beginning. The sequence has the beginning once, then the branches, one after the other. A token
  // sees the beginning and its own branch, whose positions follow those of the beginning. Empty:
  // one example, or padded ones.
  std::vector<int64_t> branches = {};

  [[nodiscard]] int64_t rows() const { return sequences * tokens; }
  // Number of tokens of the longest example; at most the number of positions of the model.
  [[nodiscard]] int64_t longest() const;
};

// Tokens of a sequence with consecutive positions.
struct Stretch {
  int64_t begin = 0;  // first token in the sequence
  int64_t tokens = 0;
  int64_t first_position = 0;
};

// The stretches of each of the group's sequences, in order: one stretch, or the beginning and each
// branch.
std::vector<Stretch> StretchesOf(const SequenceGroup& group);

enum class BatchForm {
  kPadded,  // one group: every example has the length of the longest, padded at its end
  // A group for each example, without padding. Adjacent examples that begin with the same tokens,
  // which must not count, share a group: the beginning is computed once. Only if this takes neither
  // more rows nor more attention scores than separate examples.
  kPacked,
};

struct TokenBatch {
  std::vector<SequenceGroup> groups;
  int64_t examples = 0;
  int64_t real_tokens = 0;          // of the examples, without padding; a shared beginning in each
  std::vector<int64_t> tokens;      // of each row, group by group
  std::vector<int64_t> predicting;  // indices into tokens: the positions whose predictions count …
  std::vector<int64_t> targets;     // … and the token that each of them should predict

  // Including padding.
  [[nodiscard]] int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
};

// The groups for these examples, and the number of examples in each.
struct GroupedExamples {
  std::vector<SequenceGroup> groups;
  std::vector<size_t> examples;
};
GroupedExamples GroupExamples(const formats::ExamplePool& pool, absl::Span<const size_t> examples,
                              BatchForm form);

// The examples with these indexes in the pool. A token that counts is the target of the position
// before it, which belongs to the same example in both forms.
TokenBatch MakeTokenBatch(const formats::ExamplePool& pool, absl::Span<const size_t> examples,
                          BatchForm form = BatchForm::kPadded);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TOKEN_BATCH_H_
