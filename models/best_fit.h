// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Places blocks of bytes in one region: each block goes into the smallest hole that holds it, else
// on top of the others. Free neighbours become one hole. Where a block goes depends on the blocks
// before it alone, and not on the region's capacity, so that a plan and the memory that follows the
// plan agree. Not thread-safe.
#ifndef WATTLE_MODELS_BEST_FIT_H_
#define WATTLE_MODELS_BEST_FIT_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>

namespace wattle::models {

class BestFit {
 public:
  // Blocks begin and end at multiples of this: a line of the cache, which libtorch wants as well.
  static constexpr int64_t kAlignment = 64;

  explicit BestFit(int64_t capacity_bytes = std::numeric_limits<int64_t>::max())
      : capacity_bytes_(capacity_bytes) {}

  // The block's offset; none where it would end above the capacity. bytes: more than 0.
  std::optional<int64_t> Allocate(int64_t bytes);
  // offset: of a block that is in use.
  void Free(int64_t offset);

  [[nodiscard]] int64_t in_use_bytes() const { return in_use_bytes_; }
  // The most that was in use at once.
  [[nodiscard]] int64_t peak_bytes() const { return peak_bytes_; }
  // The end of the highest block that there ever was: what the region has to hold.
  [[nodiscard]] int64_t extent_bytes() const { return extent_bytes_; }

 private:
  void Take(int64_t offset, int64_t bytes);

  int64_t capacity_bytes_;
  std::map<int64_t, int64_t> used_;   // offset → bytes
  std::map<int64_t, int64_t> holes_;  // offset → bytes; no two touch, none touches the top
  int64_t top_ = 0;                   // the end of the highest block in use
  int64_t in_use_bytes_ = 0;
  int64_t peak_bytes_ = 0;
  int64_t extent_bytes_ = 0;
};

}  // namespace wattle::models

#endif  // WATTLE_MODELS_BEST_FIT_H_
