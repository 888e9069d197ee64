// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Learning rates by hand, the shuffle's properties, and batches as rectangles.
#include "worker/engine/train/schedule.h"

#include <algorithm>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "proto/testing/gpt2_shape_for_test.h"
#include "wattle/v1/profile.pb.h"
#include "worker/engine/models/flops.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/data_order.h"

namespace wattle::engine {
namespace {

using testing::ElementsAre;

TEST(LearningRateTest, WarmsUpThenDecays) {
  LearningRateSchedule schedule{.peak = 1.0, .warmup_steps = 3, .total_steps = 7};
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 1), 0.25);
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 3), 0.75);
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 4), 1.0);
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 7), 0.25);
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 8), 0.0);
  schedule.shape = LearningRateShape::kCosine;
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 4), 1.0);
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 6), 0.5);
  schedule.shape = LearningRateShape::kConstant;
  EXPECT_DOUBLE_EQ(LearningRateAt(schedule, 7), 1.0);
}

TEST(DataOrderTest, EachEpochIsAnotherPermutationAndAPositionNeedsNoHistory) {
  DataOrder order(3, 50);
  std::vector<std::vector<int64_t>> epochs(2);
  for (int64_t position = 0; position < 100; ++position) {
    epochs[static_cast<size_t>(position / 50)].push_back(order.At(position));
  }
  EXPECT_NE(epochs[0], epochs[1]);
  DataOrder resumed(3, 50);
  EXPECT_EQ(resumed.At(77), epochs[1][27]);
  EXPECT_NE(DataOrder(4, 50).At(0) * 50 + DataOrder(4, 50).At(1), epochs[0][0] * 50 + epochs[0][1]);
  for (std::vector<int64_t>& epoch : epochs) {
    std::sort(epoch.begin(), epoch.end());
    for (int64_t i = 0; i < 50; ++i) {
      ASSERT_EQ(epoch[static_cast<size_t>(i)], i);
    }
  }
}

TEST(TokenBatchTest, PadsToTheLongestAndPointsAtThePositionBeforeATarget) {
  formats::ExamplePool pool;
  AddExample(pool, {5, 6, 7}, {1, 0, 1});  // a first token is never predicted
  AddExample(pool, {8, 9}, {0, 1});
  const TokenBatch batch = MakeTokenBatch(pool, {0, 1});
  ASSERT_EQ(batch.groups.size(), 1U);
  EXPECT_EQ(batch.groups[0].sequences, 2);
  EXPECT_EQ(batch.groups[0].tokens, 3);
  EXPECT_EQ(batch.real_tokens, 5);
  EXPECT_THAT(batch.tokens, ElementsAre(5, 6, 7, 8, 9, 0));
  EXPECT_THAT(batch.predicting, ElementsAre(1, 3));
  EXPECT_THAT(batch.targets, ElementsAre(7, 9));
}

TEST(TokenBatchTest, PacksOneBehindTheOtherAndNoTargetCrossesABorder) {
  formats::ExamplePool pool;
  AddExample(pool, {5, 6, 7}, {1, 0, 1});
  AddExample(pool, {8, 9}, {1, 1});  // its first token would become the target of the other's last
  AddExample(pool, {4}, {1});
  const TokenBatch batch = MakeTokenBatch(pool, {0, 1, 2}, BatchForm::kPacked);
  ASSERT_EQ(batch.groups.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(batch.groups[i].sequences, 1);
    EXPECT_EQ(batch.groups[i].tokens, static_cast<int64_t>(pool.TokenCount(i)));
    EXPECT_EQ(batch.groups[i].first_position, 0);
  }
  EXPECT_EQ(batch.examples, 3);
  EXPECT_EQ(batch.real_tokens, 6);
  EXPECT_THAT(batch.tokens, ElementsAre(5, 6, 7, 8, 9, 4));
  EXPECT_THAT(batch.predicting, ElementsAre(1, 3));
  EXPECT_THAT(batch.targets, ElementsAre(7, 9));
}

TEST(TokenBatchTest, ExamplesThatBeginAlikeShareTheBeginning) {
  formats::ExamplePool pool;
  const std::vector<int64_t> context = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto add = [&](std::vector<int64_t> own) {
    std::vector<int64_t> tokens = context;
    tokens.insert(tokens.end(), own.begin(), own.end());
    std::vector<uint8_t> mask(tokens.size(), 0);
    mask.back() = 1;
    AddExample(pool, tokens, mask);
  };
  add({20, 21});
  add({30, 31, 32});
  add({20, 22});  // shares one token more with the first
  AddExample(pool, {40, 41, 42}, {0, 0, 1});
  const TokenBatch batch = MakeTokenBatch(pool, {0, 1, 2, 3}, BatchForm::kPacked);
  ASSERT_EQ(batch.groups.size(), 2U);
  EXPECT_THAT(batch.groups[0].branches, ElementsAre(2, 3, 2));
  EXPECT_EQ(batch.groups[0].tokens, 15);
  EXPECT_EQ(batch.groups[0].longest(), 11);
  EXPECT_THAT(batch.groups[1].branches, testing::IsEmpty());
  EXPECT_THAT(batch.tokens,
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 20, 21, 30, 31, 32, 20, 22, 40, 41, 42));
  EXPECT_THAT(batch.predicting, ElementsAre(8, 11, 13, 16));
  EXPECT_THAT(batch.targets, ElementsAre(21, 32, 22, 42));
  EXPECT_EQ(batch.examples, 4);
  EXPECT_EQ(batch.real_tokens, 34);
  const std::vector<Stretch> stretches = StretchesOf(batch.groups[0]);
  ASSERT_EQ(stretches.size(), 4U);
  const int64_t begins[] = {0, 8, 10, 13};
  for (size_t i = 0; i < stretches.size(); ++i) {
    EXPECT_EQ(stretches[i].begin, begins[i]);
    EXPECT_EQ(stretches[i].first_position, i == 0 ? 0 : 8);
  }
}

// One row for all would have more scores than four short rows.
TEST(TokenBatchTest, AShortCommonBeginningIsNotShared) {
  formats::ExamplePool pool;
  for (int64_t i = 0; i < 4; ++i) {
    AddExample(pool, {1, 2, 10 + i, 20 + i, 30 + i, 40 + i, 50 + i}, {0, 0, 0, 0, 0, 0, 1});
  }
  EXPECT_EQ(MakeTokenBatch(pool, {0, 1, 2, 3}, BatchForm::kPacked).groups.size(), 4U);
}

TEST(DataOrderTest, RunsOfExamplesThatBeginAlikeStayTogether) {
  formats::ExamplePool pool;
  for (int64_t context = 0; context < 12; ++context) {
    for (int64_t question = 0; question < 1 + context % 3; ++question) {
      AddExample(pool, {context, context, context, context, 100 + question, 7}, {0, 0, 0, 0, 0, 1});
    }
  }
  const std::vector<int64_t> begins = RunsThatBeginAlike(pool);
  ASSERT_EQ(begins.size(), 12U);
  EXPECT_THAT(std::vector<int64_t>(begins.begin(), begins.begin() + 5), ElementsAre(0, 1, 3, 6, 7));
  const auto count = static_cast<int64_t>(pool.size());
  DataOrder order(3, count, begins);
  std::vector<int64_t> epoch;
  for (int64_t position = 0; position < count; ++position) {
    epoch.push_back(order.At(position));
  }
  EXPECT_FALSE(std::is_sorted(epoch.begin(), epoch.end()));
  for (size_t i = 1; i < epoch.size(); ++i) {
    const bool begins_a_run = std::binary_search(begins.begin(), begins.end(), epoch[i]);
    EXPECT_TRUE(begins_a_run || epoch[i] == epoch[i - 1] + 1) << i;
  }
  std::sort(epoch.begin(), epoch.end());
  for (int64_t i = 0; i < count; ++i) {
    ASSERT_EQ(epoch[static_cast<size_t>(i)], i);
  }
}

TEST(FlopsTest, Gpt2SmallNeeds756MegaflopsATokenAtLength256) {
  const auto config = models::FromShape(Gpt2Shape());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_NEAR(TrainingFlops(*config, 4, 256) / 1024.0, 756e6, 1e6);
  // All layers but no gradient of the tied head, which is 2 x 50257 x 768 a token; then a third.
  const double head = 2.0 * 1024 * 50257 * 768;
  EXPECT_DOUBLE_EQ(TrainingFlops(*config, 4, 256, 12), TrainingFlops(*config, 4, 256) - head);
  EXPECT_DOUBLE_EQ(
      TrainingFlops(*config, 4, 256, 4),
      ForwardFlops(*config, 4, 256) + head + 2.0 / 3.0 * (ForwardFlops(*config, 4, 256) - head));
}

}  // namespace
}  // namespace wattle::engine
