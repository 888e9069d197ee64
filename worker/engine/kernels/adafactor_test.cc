// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The loops of Adafactor against plain sums; train/optimizer_test.cc has the whole update.
#include "worker/engine/kernels/adafactor.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kAdafactorRows = 5;
constexpr int64_t kAdafactorColumns = 19;  // not a multiple of the partial sums

TEST(AdafactorTest, SumsUpdatesAndClippingAreThoseOfTheFormula) {
  std::vector<float> gradients(kAdafactorRows * kAdafactorColumns);
  std::vector<float> weights(kAdafactorRows * kAdafactorColumns, 1.0F);
  std::vector<float> row_factors(kAdafactorRows);
  std::vector<float> column_factors(kAdafactorColumns);
  for (size_t i = 0; i < gradients.size(); ++i) {
    gradients[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  }
  for (size_t i = 0; i < row_factors.size(); ++i) {
    row_factors[i] = static_cast<float>(1 + i);
  }
  for (size_t i = 0; i < column_factors.size(); ++i) {
    column_factors[i] = static_cast<float>(2 + i);
  }
  const AdafactorStep step = {
      .step = 3, .learning_rate = 0.1, .weight_decay = 0.5, .gradient_scale = 0.5};
  EXPECT_DOUBLE_EQ(step.rest2(), std::pow(3.0, -0.8));
  const AdafactorRows all = {.weights = weights.data(),
                             .gradients = gradients.data(),
                             .row_factors = row_factors.data(),
                             .column_factors = column_factors.data(),
                             .rows = kAdafactorRows,
                             .columns = kAdafactorColumns};
  std::vector<double> row_sums(kAdafactorRows, 7.0);        // is written
  std::vector<double> column_sums(kAdafactorColumns, 1.0);  // is added to
  AdafactorSquares(step, all, row_sums.data(), column_sums.data());
  std::vector<double> wanted_rows(kAdafactorRows, 0.0);
  std::vector<double> wanted_columns(kAdafactorColumns, 1.0);
  std::vector<double> updates;
  double update_squares = 0.0;
  for (size_t row = 0; row < kAdafactorRows; ++row) {
    for (size_t column = 0; column < kAdafactorColumns; ++column) {
      const double g = 0.5 * gradients[row * kAdafactorColumns + column];
      wanted_rows[row] += g * g;
      wanted_columns[column] += g * g;
      updates.push_back(g * row_factors[row] * column_factors[column]);
      update_squares += updates.back() * updates.back();
    }
  }
  for (size_t row = 0; row < kAdafactorRows; ++row) {
    EXPECT_NEAR(row_sums[row], wanted_rows[row], 1e-6);
  }
  for (size_t column = 0; column < kAdafactorColumns; ++column) {
    EXPECT_NEAR(column_sums[column], wanted_columns[column], 1e-6);
  }
  EXPECT_NEAR(AdafactorUpdateSquares(step, all), update_squares, 1e-5 * update_squares);
  AdafactorApply(step, /*update_rms=*/4.0, all);
  for (size_t i = 0; i < weights.size(); ++i) {
    EXPECT_NEAR(weights[i], 0.95 - 0.1 / 4.0 * updates[i], 1e-5) << i;
  }
  // An update with a root mean square below 1 is not enlarged.
  std::vector<float> again(weights.size(), 1.0F);
  AdafactorRows small = all;
  small.weights = again.data();
  AdafactorApply(step, /*update_rms=*/0.25, small);
  EXPECT_NEAR(again[1], 0.95 - 0.1 * updates[1], 1e-5);
}

}  // namespace
}  // namespace wattle::kernels
