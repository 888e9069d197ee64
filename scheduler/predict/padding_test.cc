// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares the closed form with known distributions and with sampling.
#include "scheduler/predict/padding.h"

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

TEST(PaddingTest, MaximumOfUniformDrawsIsKnown) {
  // E[max of B uniform numbers] = B / (B + 1).
  for (const double draws : {1.0, 2.0, 8.0, 32.0}) {
    EXPECT_NEAR(ExpectedMaximum({0, 0.25, 0.5, 0.75, 1}, draws, kNoLimit), draws / (draws + 1),
                1e-12);
  }
}

TEST(PaddingTest, ConstantLengthsNeedNoPadding) {
  EXPECT_DOUBLE_EQ(ExpectedMaximum({100}, 8, kNoLimit), 100);
  EXPECT_NEAR(ExpectedMaximum({100, 100, 100}, 8, kNoLimit), 100, 1e-9);
}

TEST(PaddingTest, LimitCutsEachDraw) {
  EXPECT_NEAR(ExpectedMaximum({0, 100}, 1, 50), 37.5,
              1e-9);  // Half of the draws are 50; the others are 25 on average.
  EXPECT_NEAR(ExpectedMaximum({10, 20}, 4, 5), 5, 1e-9);
  EXPECT_DOUBLE_EQ(ShareAbove({0, 100}, 75), 0.25);
  EXPECT_DOUBLE_EQ(ShareAbove({0, 50, 100}, 100), 0);
  EXPECT_DOUBLE_EQ(ShareAbove({60, 100}, 50), 1);
}

TEST(PaddingTest, AgreesWithSampling) {
  const std::vector<double> quantiles = {40, 90, 120, 130, 160, 170, 230, 300, 700};
  std::mt19937 generator(7);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (const int draws : {1, 4, 16}) {
    double sum = 0;
    constexpr int kRounds = 20000;
    for (int round = 0; round < kRounds; ++round) {
      double longest = 0;
      for (int i = 0; i < draws; ++i) {
        const double place = uniform(generator) * static_cast<double>(quantiles.size() - 1);
        const auto piece = std::min(static_cast<size_t>(place), quantiles.size() - 2);
        const double value = quantiles[piece] + (place - static_cast<double>(piece)) *
                                                    (quantiles[piece + 1] - quantiles[piece]);
        longest = std::max(longest, std::min(value, 256.0));
      }
      sum += longest;
    }
    EXPECT_NEAR(ExpectedMaximum(quantiles, draws, 256), sum / kRounds, 1.5) << draws << " draws";
  }
}

}  // namespace
}  // namespace wattle::scheduler
