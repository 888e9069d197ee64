// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/best_fit.h"

#include <map>
#include <random>

#include "gtest/gtest.h"

namespace wattle::models {
namespace {

TEST(BestFitTest, ABlockTakesTheSmallestHoleThatHoldsIt) {
  BestFit region;
  const int64_t large = *region.Allocate(640);
  const int64_t between = *region.Allocate(64);
  const int64_t small = *region.Allocate(128);
  const int64_t last = *region.Allocate(64);
  region.Free(large);
  region.Free(small);
  EXPECT_EQ(region.Allocate(100), small);
  EXPECT_EQ(region.Allocate(129), large);
  EXPECT_EQ(region.in_use_bytes(), 64 + 64 + 128 + 192);
  EXPECT_EQ(region.extent_bytes(), 640 + 64 + 128 + 64);
  region.Free(between);
  region.Free(last);
}

TEST(BestFitTest, NeighboursBecomeOneHole) {
  BestFit region;
  const int64_t a = *region.Allocate(64);
  const int64_t b = *region.Allocate(64);
  const int64_t c = *region.Allocate(64);
  const int64_t top = *region.Allocate(64);
  region.Free(a);
  region.Free(c);
  region.Free(b);
  EXPECT_EQ(region.Allocate(192), a);
  region.Free(top);
  EXPECT_EQ(region.Allocate(64), top) << "what is free at the top is no hole";
}

TEST(BestFitTest, NothingGoesAboveTheCapacityAndTheRestIsAsWithoutOne) {
  BestFit region(192);
  EXPECT_EQ(region.Allocate(100), 0);
  EXPECT_EQ(region.Allocate(100), std::nullopt);
  EXPECT_EQ(region.Allocate(64), 128);
  EXPECT_EQ(region.Allocate(1), std::nullopt);
  EXPECT_EQ(region.extent_bytes(), 192);
}

TEST(BestFitTest, BlocksNeverOverlapAndAllOfThemComeBack) {
  std::mt19937_64 random(7);
  BestFit region;
  std::map<int64_t, int64_t> blocks;
  int64_t in_use = 0;
  for (int step = 0; step < 5000; ++step) {
    if (random() % 2 == 0 || blocks.empty()) {
      const auto bytes = static_cast<int64_t>(1 + random() % 1000);
      const int64_t offset = *region.Allocate(bytes);
      EXPECT_EQ(offset % BestFit::kAlignment, 0);
      const auto after = blocks.lower_bound(offset);
      ASSERT_TRUE(after == blocks.end() || offset + bytes <= after->first);
      ASSERT_TRUE(after == blocks.begin() ||
                  std::prev(after)->first + std::prev(after)->second <= offset);
      blocks[offset] = bytes;
      in_use += (bytes + 63) / 64 * 64;
    } else {
      auto block = blocks.begin();
      std::advance(block, random() % blocks.size());
      region.Free(block->first);
      in_use -= (block->second + 63) / 64 * 64;
      blocks.erase(block);
    }
    ASSERT_EQ(region.in_use_bytes(), in_use);
  }
  for (const auto& [offset, bytes] : blocks) {
    region.Free(offset);
  }
  EXPECT_EQ(region.in_use_bytes(), 0);
  EXPECT_EQ(region.Allocate(region.peak_bytes()), 0);
}

}  // namespace
}  // namespace wattle::models
