// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests how soon predictions follow a device that has changed, and that they stay unchanged while
// it has not.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

constexpr double kCoolSeconds = 1000;
constexpr double kHotSeconds = 1500;  // Seconds of that work after the fan has died.
constexpr double kNoise = 0.04;

v1::Device Board() {
  v1::Device device;
  device.mutable_info()->set_device_id("d1");
  device.mutable_info()->set_device_class("board-a");
  return device;
}

WorkAmount WorkInBatchesOf(int batch, int layers = 6) {
  return DeclaredWork(Gpt2Shape(layers, 384), 1000, 128, batch);
}

// A board, its table, and a clock that each run moves on.
class History {
 public:
  void Run(const WorkAmount& work, double seconds) {
    now_ += absl::Seconds(seconds);
    for (const v1::ProfileRow& row : LearnFromReceipt(
             table_, Board().info(), MeasuredReceipt(work, seconds, /*watts=*/10), now_)) {
      ASSERT_THAT(table_.Put(row), IsOk());
    }
  }

  [[nodiscard]] v1::Interval Seconds(const WorkAmount& work) const {
    return Predict(table_, Board(), work, {}).run_seconds();
  }

  [[nodiscard]] ProfileTable& table() { return table_; }

 private:
  ProfileTable table_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

bool Covers(const v1::Interval& interval, double value) {
  return interval.low() <= value && value <= interval.high();
}

double Noisy(double seconds, std::mt19937& random) {
  return seconds * std::exp(std::normal_distribution<double>(0, kNoise)(random));
}

TEST(ForgettingTest, ADeadFanIsCoveredAfterTwoRunsAndKnownAfterFive) {
  const WorkAmount work = WorkInBatchesOf(8);
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    History history;
    for (int run = 0; run < 50; ++run) {
      history.Run(work, Noisy(kCoolSeconds, random));
    }
    ASSERT_TRUE(Covers(history.Seconds(work), kCoolSeconds));
    for (int run = 1; run <= 5; ++run) {
      history.Run(work, Noisy(kHotSeconds, random));
      EXPECT_TRUE(run < 2 || Covers(history.Seconds(work), kHotSeconds)) << run;
    }
    EXPECT_NEAR(history.Seconds(work).mean(), kHotSeconds, 0.05 * kHotSeconds);
  }
}

TEST(ForgettingTest, NoiseAloneMovesThePredictionByLessThanTwoPercent) {
  const WorkAmount work = WorkInBatchesOf(8);
  double error = 0;
  constexpr unsigned kSeeds = 20;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    std::mt19937 random(seed);
    History history;
    for (int run = 0; run < 10; ++run) {
      history.Run(work, Noisy(kCoolSeconds, random));
    }
    error += std::abs(history.Seconds(work).mean() / kCoolSeconds - 1) / kSeeds;
  }
  EXPECT_LT(error, 0.02);
}

TEST(ForgettingTest, OneSlowRunIsNoChange) {
  const WorkAmount work = WorkInBatchesOf(8);
  History history;
  for (int run = 0; run < 20; ++run) {
    history.Run(work, run == 18 ? 3 * kCoolSeconds : kCoolSeconds * (run % 2 == 0 ? 0.98 : 1.02));
  }
  for (const v1::ProfileRow& row : history.table().Rows()) {
    EXPECT_EQ(row.seconds_per_unit().count(), 20);
    EXPECT_FALSE(row.has_change());
  }
}

// The rows of a table that an older version wrote have no single runs.
TEST(ForgettingTest, ARowWithoutSingleRunsIsForgottenToo) {
  const WorkAmount work = WorkInBatchesOf(8);
  History history;
  for (int run = 0; run < 50; ++run) {
    history.Run(work, kCoolSeconds * (run % 2 == 0 ? 0.96 : 1.04));
  }
  for (v1::ProfileRow row : history.table().Rows()) {
    row.clear_runs();
    ASSERT_THAT(history.table().Put(row), IsOk());
  }
  history.Run(work, kHotSeconds);
  history.Run(work, kHotSeconds);
  EXPECT_NEAR(history.Seconds(work).mean(), kHotSeconds, 1);
}

TEST(ForgettingTest, NoOldRowOfTheDeviceOutlivesItsChange) {
  const WorkAmount measured_since = WorkInBatchesOf(8);
  const WorkAmount other_batch = WorkInBatchesOf(4);
  const WorkAmount other_model = WorkInBatchesOf(8, /*layers=*/12);
  History history;
  for (int run = 0; run < 10; ++run) {
    for (const WorkAmount& work : {measured_since, other_batch, other_model}) {
      history.Run(work, kCoolSeconds);
    }
  }
  for (int run = 0; run < 3; ++run) {
    history.Run(measured_since, kHotSeconds);
  }
  // A row of the same model that was measured since says more than an older one of this batch.
  EXPECT_GT(history.Seconds(other_batch).mean(), 0.9 * kHotSeconds);
  // Whether the other model is slower too is unknown, so the interval contains both cases.
  EXPECT_TRUE(Covers(history.Seconds(other_model), kCoolSeconds));
  EXPECT_TRUE(Covers(history.Seconds(other_model), kHotSeconds));
  EXPECT_THAT(Predict(history.table(), Board(), other_model, {}).provenance_note(),
              HasSubstr("before the device changed its speed by a factor of 1.50"));
  // Only the first run after the change counts.
  history.Run(other_model, kHotSeconds);
  EXPECT_NEAR(history.Seconds(other_model).mean(), kHotSeconds, 1);
}

TEST(ForgettingTest, AnOldRowHasSeenAllChangesSinceItsRuns) {
  const WorkAmount often = WorkInBatchesOf(8);
  const WorkAmount once = WorkInBatchesOf(8, /*layers=*/12);
  History history;
  history.Run(once, kCoolSeconds);
  for (const double seconds : {1000.0, 1500.0, 3000.0}) {
    for (int run = 0; run < 6; ++run) {
      history.Run(often, seconds);
    }
  }
  EXPECT_TRUE(Covers(history.Seconds(once), kCoolSeconds));
  EXPECT_TRUE(Covers(history.Seconds(once), 3 * kCoolSeconds));
}

TEST(ForgettingTest, WorkloadsTogetherShowAChangeThatNoneShowsAlone) {
  History history;
  const int batches[] = {2, 4, 8, 16};
  for (const int batch : batches) {
    for (int run = 0; run < 5; ++run) {
      history.Run(WorkInBatchesOf(batch), kCoolSeconds * (run % 2 == 0 ? 0.97 : 1.03));
    }
  }
  for (const int batch : batches) {
    history.Run(WorkInBatchesOf(batch), kHotSeconds);
  }
  for (const int batch : batches) {
    EXPECT_NEAR(history.Seconds(WorkInBatchesOf(batch)).mean(), kHotSeconds, 1) << batch;
  }
}

// An update may change the speed by any factor. The old row gives only the mean; one run of the new
// version makes a row of its own.
TEST(ForgettingTest, NewSoftwareStartsWideFromTheOldRow) {
  ProfileTable table;
  const WorkAmount work = WorkInBatchesOf(8);
  v1::Device board = Board();
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const auto run = [&](const std::string& engine, double seconds) {
    now += absl::Hours(1);
    board.mutable_info()->set_engine_version(engine);
    v1::Receipt receipt = MeasuredReceipt(work, seconds, /*watts=*/10);
    receipt.mutable_work()->mutable_signature()->set_engine_version(engine);
    for (const v1::ProfileRow& row : LearnFromReceipt(table, board.info(), receipt, now)) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
  };
  for (int i = 0; i < 5; ++i) {
    run("1", kCoolSeconds);
  }
  const v1::Interval old = Predict(table, board, work, {}).run_seconds();
  EXPECT_LT(old.high() / old.low(), 1.3);

  board.mutable_info()->set_engine_version("2");
  const v1::Prediction updated = Predict(table, board, work, {});
  EXPECT_NEAR(updated.run_seconds().mean(), kCoolSeconds, 1);
  EXPECT_TRUE(Covers(updated.run_seconds(), 1.5 * kCoolSeconds));
  EXPECT_TRUE(Covers(updated.run_seconds(), kCoolSeconds / 1.5));
  EXPECT_THAT(updated.provenance_note(), HasSubstr("another version of the engine"));
  // Holds for another batch too.
  const v1::Interval other = Predict(table, board, WorkInBatchesOf(4), {}).run_seconds();
  EXPECT_GT(other.high() / other.low(), 2);

  run("2", 1.4 * kCoolSeconds);
  const v1::Interval measured = Predict(table, board, work, {}).run_seconds();
  EXPECT_NEAR(measured.mean(), 1.4 * kCoolSeconds, 1);
  EXPECT_LT(measured.high() / measured.low(), 1.3);
  // A board without a version counts as having the rows' version.
  board.mutable_info()->clear_engine_version();
  EXPECT_LT(Predict(table, board, work, {}).run_seconds().high(), 1.2 * measured.mean());
}

}  // namespace
}  // namespace wattle::scheduler
