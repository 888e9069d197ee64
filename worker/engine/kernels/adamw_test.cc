// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fused update against the formulas in double precision.
#include "worker/engine/kernels/adamw.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

// Single precision through ten steps of products, a root and a quotient: a few units in the last
// place each.
constexpr double kTolerance = 2e-6;

TEST(AdamWUpdateTest, AgreesWithTheFormulaOverTenSteps) {
  constexpr int64_t kCount = 37;  // not a multiple of a vector's width
  std::vector<float> weights(kCount);
  std::vector<float> first(kCount, 0.0F);
  std::vector<float> second(kCount, 0.0F);
  std::vector<double> w(kCount);
  std::vector<double> m(kCount, 0.0);
  std::vector<double> v(kCount, 0.0);
  for (int64_t i = 0; i < kCount; ++i) {
    weights[i] = static_cast<float>(std::sin(static_cast<double>(i)));
    w[i] = weights[i];
  }
  for (int64_t t = 1; t <= 10; ++t) {
    std::vector<float> gradients(kCount);
    for (int64_t i = 0; i < kCount; ++i) {
      gradients[i] = static_cast<float>(std::cos(static_cast<double>(i * t)) * 0.3);
    }
    AdamWUpdate({.step = t,
                 .learning_rate = 0.01,
                 .beta1 = 0.9,
                 .beta2 = 0.95,
                 .epsilon = 1e-8,
                 .weight_decay = 0.1,
                 .gradient_scale = 0.5},
                {weights.data(), gradients.data(), first.data(), second.data(), kCount});
    for (int64_t i = 0; i < kCount; ++i) {
      const double g = 0.5 * gradients[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      const double m_hat = m[i] / (1 - std::pow(0.9, t));
      const double v_hat = v[i] / (1 - std::pow(0.95, t));
      w[i] = w[i] * (1 - 0.01 * 0.1) - 0.01 * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
  }
  for (int64_t i = 0; i < kCount; ++i) {
    EXPECT_NEAR(weights[i], w[i], kTolerance) << "element " << i;
    EXPECT_NEAR(first[i], m[i], kTolerance) << "element " << i;
    EXPECT_NEAR(second[i], v[i], kTolerance) << "element " << i;
  }
}

TEST(AdamWUpdateTest, EveryInstructionSetGivesTheSameBits) {
  constexpr int64_t kCount = 1003;
  const auto update = [](const KernelTable& kernels) {
    std::vector<std::vector<float>> state(4, std::vector<float>(kCount));
    for (int64_t i = 0; i < kCount; ++i) {
      const auto angle = static_cast<double>(i);
      state[0][i] = static_cast<float>(std::sin(angle));
      state[1][i] = static_cast<float>(std::cos(3 * angle) * 1e-3);
      state[2][i] = static_cast<float>(std::sin(5 * angle) * 1e-3);
      state[3][i] = static_cast<float>(std::cos(7 * angle) * 1e-7 + 1e-7);
    }
    AdamWUpdate({.step = 3, .learning_rate = 1e-3, .weight_decay = 0.1, .gradient_scale = 0.7},
                {state[0].data(), state[1].data(), state[2].data(), state[3].data(), kCount},
                kernels);
    return state;
  };
  const auto wanted = update(*FindKernels("portable"));
  for (const KernelTable* table : SupportedKernels()) {
    EXPECT_EQ(update(*table), wanted) << table->name;
    EXPECT_EQ(SumOfSquares(wanted[0].data(), kCount, *table),
              SumOfSquares(wanted[0].data(), kCount, *FindKernels("portable")))
        << table->name;
  }
}

TEST(AdamWUpdateTest, DecayAloneShrinksTheWeight) {
  float weight = 2.0F;
  const float gradient = 0.0F;
  float first = 0.0F;
  float second = 0.0F;
  AdamWUpdate({.step = 1, .learning_rate = 0.1, .weight_decay = 0.5},
              {&weight, &gradient, &first, &second, 1});
  EXPECT_FLOAT_EQ(weight, 2.0F * 0.95F);
}

TEST(SumOfSquaresTest, AgreesWithThePlainLoop) {
  std::vector<float> values(101);
  double wanted = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(std::sin(static_cast<double>(i)));
    wanted += static_cast<double>(values[i]) * values[i];
  }
  EXPECT_NEAR(SumOfSquares(values.data(), 101), wanted, 1e-12);
}

}  // namespace
}  // namespace wattle::kernels
