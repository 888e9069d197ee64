// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Places blocks of bytes in one region: each block goes into the smallest hole that fits, else on
// top of all blocks. Adjacent holes are merged. The place of a block depends only on earlier blocks
// and not on the region's capacity, so that a plan and the memory allocated by it agree. Not
// thread-safe.
#ifndef WATTLE_MODELS_BEST_FIT_H_
#define WATTLE_MODELS_BEST_FIT_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>

namespace wattle::models {

class BestFit {
 public:
  // Blocks begin and end at multiples of this: a cache line, which is also libtorch's alignment.
  static constexpr int64_t kAlignment = 64;

  explicit BestFit(int64_t capacity_bytes = std::numeric_limits<int64_t>::max())
      : capacity_bytes_(capacity_bytes) {}

  // The block's offset; nullopt if the block would end above the capacity. bytes: more than 0.
  std::optional<int64_t> Allocate(int64_t bytes);
  // offset: of a block in use.
  void Free(int64_t offset);

  [[nodiscard]] int64_t in_use_bytes() const { return in_use_bytes_; }
  // The maximum of bytes in use at the same time.
  [[nodiscard]] int64_t peak_bytes() const { return peak_bytes_; }
  // The maximum end of any block so far: the size that the region needs.
  [[nodiscard]] int64_t extent_bytes() const { return extent_bytes_; }

 private:
  void Take(int64_t offset, int64_t bytes);

  int64_t capacity_bytes_;
  std::map<int64_t, int64_t> used_;   // offset → bytes
  std::map<int64_t, int64_t> holes_;  // offset → bytes; holes touch neither each other nor the top
  int64_t top_ = 0;                   // end of the highest block in use
  int64_t in_use_bytes_ = 0;
  int64_t peak_bytes_ = 0;
  int64_t extent_bytes_ = 0;
};

}  // namespace wattle::models

#endif  // WATTLE_MODELS_BEST_FIT_H_
