// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/best_fit.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace wattle::models {

std::optional<int64_t> BestFit::Allocate(int64_t bytes) {
  WATTLE_CHECK(bytes > 0, "a block has bytes");
  const int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  auto best = holes_.end();
  for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
    // The smallest hole that fits leaves large holes for large blocks; of equal holes the lowest
    // wins, so that plan and arena agree.
    if (hole->second >= rounded && (best == holes_.end() || hole->second < best->second)) {
      best = hole;
    }
  }
  if (best != holes_.end()) {
    const auto [offset, size] = *best;
    holes_.erase(best);
    if (size > rounded) {
      // The block takes the hole's beginning, so that the rest stays one hole.
      holes_[offset + rounded] = size - rounded;
    }
    Take(offset, rounded);
    return offset;
  }
  // Compared by subtraction, because the sum could overflow.
  if (rounded > capacity_bytes_ - top_) {
    return std::nullopt;
  }
  const int64_t offset = top_;
  top_ += rounded;
  extent_bytes_ = std::max(extent_bytes_, top_);
  Take(offset, rounded);
  return offset;
}

void BestFit::Take(int64_t offset, int64_t bytes) {
  used_[offset] = bytes;
  in_use_bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, in_use_bytes_);
}

void BestFit::Free(int64_t offset) {
  const auto block = used_.find(offset);
  WATTLE_CHECK(block != used_.end(), "a block in use begins at this offset");
  int64_t begin = offset;
  int64_t bytes = block->second;
  in_use_bytes_ -= bytes;
  used_.erase(block);
  // Merging with both neighbours at once keeps the invariant that no two holes touch.
  const auto after = holes_.lower_bound(begin);
  if (after != holes_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == begin) {
      begin = before->first;
      bytes += before->second;
      holes_.erase(before);
    }
  }
  if (after != holes_.end() && begin + bytes == after->first) {
    bytes += after->second;
    holes_.erase(after);
  }
  // A hole at the top is no hole: lowering the top makes room for blocks of any size.
  if (begin + bytes == top_) {
    top_ = begin;
  } else {
    holes_[begin] = bytes;
  }
}

}  // namespace wattle::models
