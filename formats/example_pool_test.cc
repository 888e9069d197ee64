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

TEST(ExamplePoolTest, TheCommonBeginningEndsBeforeWhatCounts) {
  ExamplePool pool;
  const auto add = [&pool](const std::vector<int64_t>& tokens, size_t counted) {
    const size_t begin = pool.AddTokens(tokens);
    const size_t context = tokens.size() - counted;
    pool.AddExample({{begin, context}, {begin + context, counted, true}});
  };
  add({1, 2, 3, 4, 5}, 1);
  add({1, 2, 3, 9, 5}, 1);
  add({1, 2, 3, 4, 5}, 1);  // the token before the first that counts stays the example's own
  add({1, 2, 3, 4}, 2);
  add({1, 2, 3, 4}, 4);
  add({1, 2, 3}, 0);  // a token stays behind the beginning
  add({7, 2, 3}, 1);
  add({}, 0);
  const size_t wanted[] = {3, 3, 3, 1, 0, 2, 0, 0};
  for (size_t other = 0; other < pool.size(); ++other) {
    EXPECT_EQ(pool.CommonBeginning(0, other), wanted[other]) << other;
    EXPECT_EQ(pool.CommonBeginning(other, 0), wanted[other]) << other;
  }
  // Ranges of the pool's tokens may be cut anywhere.
  ExamplePool cut;
  const size_t shared = cut.AddTokens({1, 2, 3, 4, 5, 6});
  cut.AddExample({{shared, 4}, {shared + 4, 2, true}});
  cut.AddExample({{shared, 1}, {shared + 1, 2}, {shared + 3, 1}, {shared, 2, true}});
  EXPECT_EQ(cut.CommonBeginning(0, 1), 3U);
}

}  // namespace
}  // namespace wattle::formats
