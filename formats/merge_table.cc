// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <queue>
#include <utility>

#include "formats/merge_table_internal.h"

namespace wattle::formats {
namespace {

constexpr size_t kNoSymbol = std::numeric_limits<size_t>::max();

// Two neighbours as one key.
uint64_t PairKey(int64_t left, int64_t right) {
  return (static_cast<uint64_t>(left) << 32) | static_cast<uint64_t>(right);
}

// A symbol in the linked list of the remaining symbols.
struct Symbol {
  int64_t token;
  size_t previous;
  size_t next;
};

// A candidate for the next merge.
struct Candidate {
  int32_t rank;
  size_t left;
  uint64_t pair;  // a candidate is stale once its symbols are no longer this pair
  int64_t result;
  bool operator<(const Candidate& other) const {  // std::priority_queue takes the greatest first
    return std::make_pair(rank, left) > std::make_pair(other.rank, other.left);
  }
};

}  // namespace

void MergeTable::Add(int64_t left, int64_t right, int32_t rank, int64_t result) {
  merges_.emplace(PairKey(left, right),
                  Merge{.rank = rank, .result = static_cast<int32_t>(result)});
}

void MergeTable::Apply(absl::Span<const int64_t> piece, std::vector<int64_t>& tokens) const {
  // A linked list in an array: a merge removes a symbol in constant time, and indexes stay valid.
  std::vector<Symbol> symbols(piece.size());
  for (size_t i = 0; i < piece.size(); ++i) {
    symbols[i] = {.token = piece[i],
                  .previous = i == 0 ? kNoSymbol : i - 1,
                  .next = i + 1 == piece.size() ? kNoSymbol : i + 1};
  }
  // A heap of candidates instead of a search for the lowest rank after each merge, which would be
  // quadratic.
  std::priority_queue<Candidate> candidates;
  const auto offer = [&](size_t left) {
    if (left == kNoSymbol || symbols[left].next == kNoSymbol) {
      return;
    }
    const uint64_t pair = PairKey(symbols[left].token, symbols[symbols[left].next].token);
    if (const auto merge = merges_.find(pair); merge != merges_.end()) {
      candidates.push(
          {.rank = merge->second.rank, .left = left, .pair = pair, .result = merge->second.result});
    }
  };
  for (size_t i = 0; i + 1 < piece.size(); ++i) {
    offer(i);
  }
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[best.left];
    // Stale candidates are skipped here, which is cheaper than removing them from the heap.
    if (left.token < 0 || left.next == kNoSymbol ||
        PairKey(left.token, symbols[left.next].token) != best.pair) {
      continue;
    }
    Symbol& right = symbols[left.next];
    left.token = best.result;
    left.next = right.next;
    right.token = -1;  // merged away
    if (left.next != kNoSymbol) {
      symbols[left.next].previous = best.left;
    }
    // Only the two pairs with the new symbol can be new candidates.
    offer(left.previous);
    offer(best.left);
  }
  for (size_t i = piece.empty() ? kNoSymbol : 0; i != kNoSymbol; i = symbols[i].next) {
    tokens.push_back(symbols[i].token);
  }
}

}  // namespace wattle::formats
