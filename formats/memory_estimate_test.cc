// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/memory_estimate.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"

namespace wattle::formats {
namespace {

using testing::HasSubstr;

DecoderConfig Gpt2Small() {
  return {.layers = 12,
          .width = 768,
          .heads = 12,
          .mlp_width = 3072,
          .vocabulary = 50257,
          .max_positions = 1024};
}

int64_t Total(const MemoryWorkload& workload) {
  const auto estimate = EstimateMemory(Gpt2Small(), workload);
  EXPECT_THAT(estimate, IsOk());
  return estimate.ok() ? estimate->total_bytes() : 0;
}

TEST(MemoryEstimateTest, FinetuneHoldsFourCopiesOfTheWeights) {
  const auto estimate = EstimateMemory(
      Gpt2Small(), {.task = MemoryTask::kFinetune, .batch = 1, .sequence_tokens = 256});
  ASSERT_THAT(estimate, IsOk());
  constexpr int64_t kWeights = 124439808LL * 4;
  EXPECT_EQ(estimate->weights_bytes, kWeights);
  EXPECT_EQ(estimate->gradients_bytes, kWeights);
  EXPECT_EQ(estimate->optimizer_bytes, 2 * kWeights);
  // Between the four copies alone and what the leanest peer of the same method takes (2867 MiB).
  EXPECT_GT(estimate->total_bytes(), 4 * kWeights);
  EXPECT_LT(estimate->total_bytes(), 2867LL << 20);
}

TEST(MemoryEstimateTest, GrowsWithBatchAndLength) {
  const MemoryWorkload small = {.task = MemoryTask::kFinetune, .batch = 2, .sequence_tokens = 128};
  MemoryWorkload wider = small;
  wider.batch = 4;
  MemoryWorkload longer = small;
  longer.sequence_tokens = 256;
  EXPECT_LT(Total(small), Total(wider));
  EXPECT_LT(Total(wider),
            Total(longer));  // Attention probabilities grow with the square of the length.
}

TEST(MemoryEstimateTest, NoLengthMeansTheModelsContext) {
  EXPECT_EQ(Total({.task = MemoryTask::kEvaluate, .batch = 2}),
            Total({.task = MemoryTask::kEvaluate, .batch = 2, .sequence_tokens = 1024}));
}

TEST(MemoryEstimateTest, InferenceTakesLessThanTraining) {
  for (const MemoryTask task :
       {MemoryTask::kGenerate, MemoryTask::kEvaluate, MemoryTask::kQuantize}) {
    EXPECT_LT(Total({.task = task, .batch = 1, .sequence_tokens = 256}),
              Total({.task = MemoryTask::kFinetune, .batch = 1, .sequence_tokens = 256}));
  }
}

TEST(MemoryEstimateTest, Int8WeightsAreAQuarterButTheFloatOnesAreLoadedFirst) {
  const auto estimate = EstimateMemory(
      Gpt2Small(), {.task = MemoryTask::kGenerate, .sequence_tokens = 64, .int8_weights = true});
  ASSERT_THAT(estimate, IsOk());
  EXPECT_NEAR(static_cast<double>(estimate->weights_bytes), 124439808.0, 5e6);
  EXPECT_GE(estimate->scratch_bytes, 124439808LL * 4);
}

TEST(MemoryEstimateTest, WhatTheModelCannotHoldIsRefused) {
  EXPECT_THAT(EstimateMemory(Gpt2Small(), {.batch = 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("batch_size: 0")));
  EXPECT_THAT(EstimateMemory(Gpt2Small(), {.batch = 1, .sequence_tokens = 1025}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the model's context of 1024 tokens")));
  EXPECT_THAT(EstimateMemory(Gpt2Small(), {.batch = 1, .sequence_tokens = 1024}), IsOk());
}

}  // namespace
}  // namespace wattle::formats
