// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/caching_allocator.h"

#include <algorithm>
#include <set>
#include <utility>

namespace wattle::models {
namespace {

// Constants of c10/cuda/CUDACachingAllocator.cpp, equal in libtorch 1.13 and 2.x: kMinBlockSize,
// kSmallBuffer, kMinLargeAlloc, kLargeBuffer, kRoundLarge.
constexpr int64_t kBlockBytes = 512;
constexpr int64_t kSmallSegmentBytes = int64_t{2} << 20;
constexpr int64_t kOwnSegmentFromBytes = int64_t{10} << 20;
constexpr int64_t kSharedSegmentBytes = int64_t{20} << 20;
constexpr int64_t kSegmentStepBytes = int64_t{2} << 20;

int64_t RoundedUp(int64_t bytes, int64_t step) {
  return (bytes + step - 1) / step * step;
}

// get_allocation_size
int64_t SegmentFor(int64_t block) {
  if (block <= kSmallBlockBytes) {
    return kSmallSegmentBytes;
  }
  return block < kOwnSegmentFromBytes ? kSharedSegmentBytes : RoundedUp(block, kSegmentStepBytes);
}

}  // namespace

int64_t CachingAllocatorBytes(const std::vector<int64_t>& blocks) {
  std::multiset<int64_t> rests[2];  // of small segments, and of all others
  int64_t taken = 0;
  for (const int64_t bytes : blocks) {
    if (bytes <= 0) {
      continue;
    }
    const int64_t block = RoundedUp(bytes, kBlockBytes);
    const bool is_small = block <= kSmallBlockBytes;
    std::multiset<int64_t>& free = rests[is_small ? 0 : 1];
    const auto best = free.lower_bound(block);
    int64_t segment = 0;
    if (best != free.end()) {
      segment = *best;
      free.erase(best);
    } else {
      segment = SegmentFor(block);
      taken += segment;
    }
    // should_split: the rest of a large segment stays unused if only a small block would fit.
    const int64_t rest = segment - block;
    if (is_small ? rest >= kBlockBytes : rest > kSmallBlockBytes) {
      free.insert(rest);
    }
  }
  return taken;
}

int64_t SmallTensorsPeakBytes(const TensorPlan& plan) {
  std::vector<std::pair<int64_t, int64_t>> changes;  // event → change in bytes
  for (const PlannedTensor& tensor : plan.tensors) {
    const int64_t block = RoundedUp(tensor.size_bytes(), kBlockBytes);
    if (block <= kSmallBlockBytes) {
      changes.emplace_back(tensor.first_use, block);
      changes.emplace_back(tensor.last_use, -block);
    }
  }
  std::sort(changes.begin(), changes.end());
  int64_t held = 0;
  int64_t peak = 0;
  for (const auto& [event, bytes] : changes) {
    held += bytes;
    peak = std::max(peak, held);
  }
  return peak;
}

}  // namespace wattle::models
