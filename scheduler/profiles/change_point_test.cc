// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which runs show a change, and how seldom noise looks like one.
#include "scheduler/profiles/change_point.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

RowRuns Runs(const std::vector<double>& seconds, double first_at = 0) {
  RowRuns row;
  for (const double value : seconds) {
    row.runs.push_back({first_at + static_cast<double>(row.runs.size()), std::log(value)});
  }
  return row;
}

TEST(ChangePointTest, TwoRunsShowAStep) {
  const std::vector<RowRuns> rows = {Runs({1.02, 0.98, 1.01, 0.99, 1.0, 1.5, 1.52})};
  const auto change = FindChangePoint(rows);
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->at_unix_seconds, 5);
  EXPECT_EQ(change->runs_after, std::vector<size_t>{2});
  EXPECT_NEAR(std::exp(change->log_ratio), 1.51, 0.02);
}

TEST(ChangePointTest, AFasterDeviceChangedToo) {
  const auto change =
      FindChangePoint(std::vector<RowRuns>{Runs({1.02, 0.98, 1.01, 0.99, 1.0, 0.7, 0.71})});
  ASSERT_TRUE(change.has_value());
  EXPECT_LT(change->log_ratio, 0);
}

TEST(ChangePointTest, NothingAndOneStrangeRunAreNoChange) {
  EXPECT_FALSE(FindChangePoint({}).has_value());
  EXPECT_FALSE(FindChangePoint(std::vector<RowRuns>{Runs({})}).has_value());
  EXPECT_FALSE(FindChangePoint(std::vector<RowRuns>{Runs({1})}).has_value());
  EXPECT_FALSE(FindChangePoint(std::vector<RowRuns>{Runs({1, 3})}).has_value());
  EXPECT_FALSE(FindChangePoint(std::vector<RowRuns>{Runs({1, 1.02, 0.98, 1, 3})}).has_value());
  EXPECT_FALSE(FindChangePoint(std::vector<RowRuns>{Runs({1, 1.02, 0.98, 3, 1})}).has_value());
  EXPECT_FALSE(FindChangePoint(std::vector<RowRuns>{Runs({1, 1, 1, 1, 1})}).has_value());
}

TEST(ChangePointTest, RunsOfWhichOnlySumsAreLeftCount) {
  RowRuns calm = Runs({1.5, 1.5});
  calm.earlier_count = 50;
  calm.earlier_squares = 49 * 0.04 * 0.04;
  EXPECT_TRUE(FindChangePoint(std::vector<RowRuns>{calm}).has_value());
  RowRuns restless = calm;
  restless.earlier_squares = 49 * 0.4 * 0.4;
  EXPECT_FALSE(FindChangePoint(std::vector<RowRuns>{restless}).has_value());
}

TEST(ChangePointTest, RowsThatMoveApartAreNoChangeOfTheDevice) {
  std::vector<RowRuns> rows;
  for (int row = 0; row < 4; ++row) {
    rows.push_back(Runs({1, 1, 1}));
    rows.back().runs.push_back({100.0 + row, row % 2 == 0 ? 0.1 : -0.1});
  }
  EXPECT_FALSE(FindChangePoint(rows).has_value());
  for (RowRuns& row : rows) {
    row.runs.back().log_seconds = 0.4;
  }
  const auto change = FindChangePoint(rows);
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->at_unix_seconds, 100);
  EXPECT_EQ(change->runs_after, std::vector<size_t>(4, 1));
}

// 500 series of 20 runs, each tested after every run: fewer than 1 in 200 of the 10,000 tests may
// find a change, at any noise.
TEST(ChangePointTest, NoiseSeldomLooksLikeAChange) {
  for (const double noise : {0.01, 0.04, 0.15}) {
    std::mt19937 random(7);
    std::normal_distribution<double> normal(0, noise);
    int changes = 0;
    for (int series = 0; series < 500; ++series) {
      std::vector<RowRuns> rows(1);
      for (int run = 0; run < 20; ++run) {
        rows[0].runs.push_back({static_cast<double>(run), normal(random)});
        if (FindChangePoint(rows).has_value()) {
          ++changes;
          rows[0].runs.clear();
        }
      }
    }
    EXPECT_LT(changes, 50) << noise;
  }
}

}  // namespace
}  // namespace wattle::scheduler
