// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/checkpoint_interval.h"

#include <random>
#include <string>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

CheckpointFacts Facts() {
  return {.write = absl::Seconds(37), .between_cuts = absl::Hours(1)};
}

// The figures for GPT-2 Small at 40 MB/s.
TEST(CheckpointIntervalTest, IsYoungsOptimum) {
  EXPECT_NEAR(absl::ToDoubleSeconds(OptimalCheckpointInterval(absl::Seconds(37), absl::Hours(1))),
              516, 1);
  EXPECT_NEAR(absl::ToDoubleSeconds(OptimalCheckpointInterval(absl::Seconds(37), absl::Hours(24))),
              2529, 1);
  EXPECT_NEAR(
      absl::ToDoubleSeconds(OptimalCheckpointInterval(absl::Seconds(37), absl::Hours(7 * 24))),
      6690, 1);
  EXPECT_EQ(OptimalCheckpointInterval(absl::Hours(10), absl::Hours(1)), absl::Hours(1));
}

// A simulation without the formula: cuts come at random, work since the checkpoint is lost.
double ProgressOf(absl::Duration interval, absl::Duration write, absl::Duration between_cuts,
                  unsigned seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> next_cut(1 / absl::ToDoubleSeconds(between_cuts));
  const double period = absl::ToDoubleSeconds(interval + write);
  double time = 0;
  double kept = 0;
  for (int cut = 0; cut < 20'000; ++cut) {
    const double until = next_cut(random);
    time += until;
    kept += std::floor(until / period) * absl::ToDoubleSeconds(interval);
  }
  return kept / time;
}

TEST(CheckpointIntervalTest, NoOtherIntervalKeepsMuchMoreOfTheWork) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (const absl::Duration between_cuts : {absl::Hours(1), absl::Hours(24), absl::Hours(168)}) {
    const absl::Duration write = absl::Seconds(37);
    const absl::Duration ours = OptimalCheckpointInterval(write, between_cuts);
    const double reached = ProgressOf(ours, write, between_cuts, seed);
    for (const double factor : {0.125, 0.25, 0.5, 0.7, 1.4, 2.0, 4.0, 8.0}) {
      EXPECT_GT(reached, 0.99 * ProgressOf(factor * ours, write, between_cuts, seed))
          << factor << " times, cut every " << between_cuts;
    }
  }
}

TEST(CheckpointIntervalTest, TheCardsBudgetLengthensAndALossThatIsBoundedShortens) {
  CheckpointFacts facts = Facts();
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kNone);
  facts.flash_wait = absl::Hours(2);
  EXPECT_EQ(ChooseCheckpointInterval(facts).interval, absl::Hours(2));
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kFlash);
  facts.loss_max = absl::Minutes(5);
  EXPECT_EQ(ChooseCheckpointInterval(facts).interval, absl::Minutes(5));
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kLoss);
  facts.loss_max = absl::Seconds(1);
  EXPECT_EQ(ChooseCheckpointInterval(facts).interval, facts.write);
}

TEST(CheckpointIntervalTest, NearTheReserveNoMoreIsAtRiskThanTheChargeAboveIt) {
  CheckpointFacts facts = Facts();
  const absl::Duration optimum = ChooseCheckpointInterval(facts).interval;
  facts.until_reserve = optimum;
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kNone);
  facts.until_reserve = absl::Minutes(5);
  EXPECT_EQ(ChooseCheckpointInterval(facts).interval, absl::Minutes(5));
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kReserve);
  facts.until_reserve = absl::ZeroDuration();
  EXPECT_EQ(ChooseCheckpointInterval(facts).interval, optimum / 4);
  facts.flash_wait = absl::Hours(2);
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kFlash)
      << "the guard lets work write a checkpoint before it pauses";
  facts.loss_max = absl::Minutes(1);
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kLoss);
}

TEST(CheckpointIntervalTest, HalfOfWhatACutEndedComesBeforeTheCardsBudget) {
  CheckpointFacts facts = Facts();
  facts.flash_wait = absl::Hours(2);
  facts.cut_off = absl::Minutes(8);
  EXPECT_EQ(ChooseCheckpointInterval(facts).interval, absl::Minutes(4));
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kCutOff);
  facts.cut_off = absl::Hours(9);
  EXPECT_EQ(ChooseCheckpointInterval(facts).bound, CheckpointBound::kFlash);
}

TEST(CheckpointIntervalTest, TheTimeOfAWriteIsFoundInTheTimeOfAll) {
  for (const absl::Duration run : {absl::Seconds(10), absl::Hours(3), absl::Hours(40)}) {
    for (const absl::Duration write : {absl::Seconds(1), absl::Seconds(37), absl::Minutes(5)}) {
      const absl::Duration all = (1 + ExpectedCheckpoints(run, write)) * write;
      const double found = absl::FDivDuration(WriteTimeOf(all, run), write);
      EXPECT_GT(found, 0.95) << run << " " << write;
      EXPECT_LT(found, 1.5) << run << " " << write;
    }
  }
  EXPECT_EQ(WriteTimeOf(absl::Seconds(9), absl::ZeroDuration()), absl::Seconds(9));
  EXPECT_EQ(WriteTimeOf(absl::ZeroDuration(), absl::Hours(1)), absl::ZeroDuration());
}

}  // namespace
}  // namespace wattle
