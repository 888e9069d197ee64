// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/example_pool.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;

std::vector<int64_t> Targets(const ExamplePool& pool, size_t example) {
  std::vector<int64_t> targets;
  pool.ForEachToken(example, [&](int64_t token, bool counts) {
    if (counts) {
      targets.push_back(token);
    }
  });
  return targets;
}

TEST(ExamplePoolTest, ExamplesShareTokens) {
  ExamplePool pool;
  const size_t shared = pool.AddTokens({1, 2, 3});
  const size_t first = pool.AddTokens({4, 5});
  const size_t second = pool.AddTokens({6});
  pool.AddExample({{shared, 3}, {first, 2, true}});
  pool.AddExample({{shared + 1, 2}, {second, 1, true}});
  ASSERT_EQ(pool.size(), 2U);
  EXPECT_THAT(pool.Tokens(0), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(pool.Tokens(1), ElementsAre(2, 3, 6));
  EXPECT_THAT(Targets(pool, 0), ElementsAre(4, 5));
  EXPECT_THAT(Targets(pool, 1), ElementsAre(6));
  EXPECT_EQ(pool.TokenCount(0), 5U);
  EXPECT_EQ(pool.TargetCount(0), 2U);
  pool.Truncate(1);
  EXPECT_EQ(pool.size(), 1U);
}

TEST(ExamplePoolTest, NothingPredictsTheFirstToken) {
  ExamplePool pool;
  const size_t tokens = pool.AddTokens({7, 8, 9});
  pool.AddExample({{tokens, 3, true}});
  pool.AddExample({{tokens, 0, true}, {tokens, 1, true}, {tokens + 1, 1, true}});
  pool.AddExample({});
  EXPECT_THAT(Targets(pool, 0), ElementsAre(8, 9));
  EXPECT_EQ(pool.TargetCount(0), 2U);
  EXPECT_THAT(Targets(pool, 1), ElementsAre(8));
  EXPECT_EQ(pool.TargetCount(1), 1U);
  EXPECT_EQ(pool.TokenCount(2), 0U);
  EXPECT_EQ(pool.TargetCount(2), 0U);
}

}  // namespace
}  // namespace wattle::formats
