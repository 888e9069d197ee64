// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/caching_allocator.h"

#include "gtest/gtest.h"

namespace wattle::models {
namespace {

constexpr int64_t kKiB = int64_t{1} << 10;
constexpr int64_t kMiB = int64_t{1} << 20;

TEST(CachingAllocatorTest, SmallBlocksShareSegmentsOfTwoMebibytes) {
  EXPECT_EQ(CachingAllocatorBytes({}), 0);
  EXPECT_EQ(CachingAllocatorBytes({0}), 0);
  EXPECT_EQ(CachingAllocatorBytes({1}), 2 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({kMiB, kMiB}), 2 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({kMiB, kMiB, 1}), 4 * kMiB);
  // Three do not fit in one segment, and the third leaves room for the fourth.
  EXPECT_EQ(CachingAllocatorBytes({700 * kKiB, 700 * kKiB, 700 * kKiB, kMiB}), 4 * kMiB);
}

TEST(CachingAllocatorTest, ABlockIsOfWholeUnitsOf512Bytes) {
  EXPECT_EQ(CachingAllocatorBytes(std::vector<int64_t>(4096, 512)), 2 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes(std::vector<int64_t>(4096, 513)), 4 * kMiB);
}

TEST(CachingAllocatorTest, MiddleOnesShareSegmentsOfTwenty) {
  EXPECT_EQ(CachingAllocatorBytes({kMiB + 1}), 20 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({6 * kMiB, 6 * kMiB, 6 * kMiB}), 20 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({6 * kMiB, 6 * kMiB, 6 * kMiB, 6 * kMiB}), 40 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({2 * kMiB, kMiB}), 22 * kMiB) << "small ones lie elsewhere";
}

TEST(CachingAllocatorTest, LargeOnesHaveSegmentsInStepsOfTwo) {
  EXPECT_EQ(CachingAllocatorBytes({10 * kMiB}), 10 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({10 * kMiB + 1}), 12 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({475 * kMiB - 100}), 476 * kMiB);
  // The rest of the first is of use to the second; a rest of a mebibyte is to none.
  EXPECT_EQ(CachingAllocatorBytes({10 * kMiB + 1, 1900 * kKiB}), 12 * kMiB);
  EXPECT_EQ(CachingAllocatorBytes({11 * kMiB, kMiB}), 14 * kMiB);
}

PlannedTensor Tensor(int64_t bytes, int64_t first_use, int64_t last_use) {
  return {.name = "x",
          .shape = {bytes},
          .element_bytes = 1,
          .first_use = first_use,
          .last_use = last_use};
}

TEST(CachingAllocatorTest, SmallTensorsCountWhileTheyLive) {
  const TensorPlan plan = {.tensors = {Tensor(1000, 0, 3), Tensor(kMiB + 1, 1, 7),
                                       Tensor(5000, 2, 5), Tensor(3000, 4, 6)}};
  EXPECT_EQ(SmallTensorsPeakBytes(plan), 5120 + 3072);
  EXPECT_EQ(SmallTensorsPeakBytes({}), 0);
}

}  // namespace
}  // namespace wattle::models
