// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The merges of a byte-pair encoding, and their application to one piece of text. Private to
// formats. Immutable once filled; then thread-safe.
#ifndef WATTLE_FORMATS_MERGE_TABLE_INTERNAL_H_
#define WATTLE_FORMATS_MERGE_TABLE_INTERNAL_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace wattle::formats {

class MergeTable {
 public:
  void Reserve(size_t merges) { merges_.reserve(merges); }
  // Adds a merge: the neighbours `left` and `right` become `result`. A merge of lower rank is
  // applied first. If two merges have the same neighbours, the first one stays.
  void Add(int64_t left, int64_t right, int32_t rank, int64_t result);

  // Merges `symbols` and appends the result. The merge of lowest rank is applied first, the
  // leftmost one among equal ranks. Takes O(n log n) steps, because a piece can be as long as the
  // text.
  void Apply(absl::Span<const int64_t> symbols, std::vector<int64_t>& tokens) const;

 private:
  struct Merge {
    int32_t rank = 0;
    int32_t result = 0;
  };
  absl::flat_hash_map<uint64_t, Merge> merges_;  // by both neighbours
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_MERGE_TABLE_INTERNAL_H_
