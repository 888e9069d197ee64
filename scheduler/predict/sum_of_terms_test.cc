// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the fit of positive terms and the Cholesky factor that it uses.
#include "scheduler/predict/sum_of_terms.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

#include "scheduler/predict/cholesky.h"

namespace wattle::scheduler {
namespace {

TEST(CholeskyTest, SolvesAndGivesTheDeterminant) {
  const auto factor = Cholesky::Of({4, 2, 2, 2, 5, 3, 2, 3, 6}, 3);
  ASSERT_TRUE(factor.has_value());
  // 4x + 2y + 2z = 8, 2x + 5y + 3z = 10, 2x + 3y + 6z = 11.
  const std::vector<double> x = factor->Solve({8, 10, 11});
  EXPECT_NEAR(x[0], 1, 1e-12);
  EXPECT_NEAR(x[1], 1, 1e-12);
  EXPECT_NEAR(x[2], 1, 1e-12);
  EXPECT_NEAR(factor->LogDeterminant(), std::log(64.0), 1e-12);
}

TEST(CholeskyTest, RefusesWhatIsNotPositiveDefinite) {
  EXPECT_FALSE(Cholesky::Of({1, 2, 2, 1}, 2).has_value());
  EXPECT_FALSE(Cholesky::Of({std::nan("")}, 1).has_value());
  EXPECT_FALSE(Cholesky::Of({0}, 1).has_value());
}

TEST(SumOfTermsTest, SharesAreTheDerivativesOfTheLogarithm) {
  const std::vector<double> coefficients = {0.3, -1.2, 0.8};
  const LogTerms terms = {0, 0.5, -0.7};
  const TermSum sum = SumTerms(coefficients, terms);
  for (size_t k = 0; k < coefficients.size(); ++k) {
    std::vector<double> moved = coefficients;
    moved[k] += 1e-6;
    EXPECT_NEAR((SumTerms(moved, terms).log_value - sum.log_value) / 1e-6, sum.shares[k], 1e-5);
  }
}

TEST(SumOfTermsTest, FindsTheCoefficientsOfALaw) {
  // 0.02 + 0.01 × batch + 8 / clock + 12 × batch / clock.
  std::vector<LogTerms> terms;
  std::vector<double> values;
  for (const double clock : {100, 200, 400, 800}) {
    for (const double batch : {1, 4, 16}) {
      terms.push_back({0, std::log(batch), -std::log(clock), std::log(batch) - std::log(clock)});
      values.push_back(std::log(0.02 + 0.01 * batch + 8 / clock + 12 * batch / clock));
    }
  }
  const std::vector<double> fitted =
      FitTerms(terms, values, {{-3, -3, 2, 2}, /*deviation=*/2}, /*noise=*/0.001);
  EXPECT_NEAR(std::exp(fitted[0]), 0.02, 0.004);
  EXPECT_NEAR(std::exp(fitted[1]), 0.01, 0.001);
  EXPECT_NEAR(std::exp(fitted[2]), 8, 0.8);
  EXPECT_NEAR(std::exp(fitted[3]), 12, 0.2);
}

TEST(SumOfTermsTest, WithoutValuesThePriorStays) {
  EXPECT_EQ(FitTerms({}, {}, {{1, 2}, 1}, 0.05), (std::vector<double>{1, 2}));
}

}  // namespace
}  // namespace wattle::scheduler
