// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The nonlinearities against their formulas in double precision.
#include "worker/engine/kernels/activation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

constexpr double kPi = 3.14159265358979324;

double Value(Nonlinearity f, double x) {
  switch (f) {
    case Nonlinearity::kGeluTanh:  // Hendrycks and Gimpel 2016
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
    case Nonlinearity::kGeluErf:
      return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case Nonlinearity::kSilu:
      return x / (1.0 + std::exp(-x));
    case Nonlinearity::kRelu:
      return std::max(0.0, x);
    case Nonlinearity::kNone:
      break;
  }
  return x;
}

double Slope(Nonlinearity f, double x) {
  if (f == Nonlinearity::kRelu) {
    return x > 0.0 ? 1.0 : 0.0;  // 0 at the corner, as in PyTorch
  }
  constexpr double kStep = 1e-5;
  return (Value(f, x + kStep) - Value(f, x - kStep)) / (2 * kStep);
}

class ActivationTest : public testing::TestWithParam<Nonlinearity> {};

TEST_P(ActivationTest, ValuesAndSlopesAreThoseOfTheFormulaOnEveryInstructionSet) {
  const Nonlinearity f = GetParam();
  std::vector<float> x = {0.0F, -0.0F, 1e-42F, 1e-20F, -1e-20F, 50.0F, -50.0F, 1000.0F, -1000.0F};
  for (int i = 0; i < 4999; ++i) {  // more than a piece, and not a multiple of a vector
    x.push_back(static_cast<float>(i - 2500) * 0.004F);
  }
  const auto count = static_cast<int64_t>(x.size());
  std::vector<float> first_values;
  std::vector<float> first_gradients;
  for (const KernelTable* kernels : SupportedKernels()) {
    std::vector<float> values(x.size());
    std::vector<float> gradients(x.size());
    const std::vector<float> grad_out(x.size(), 0.5F);
    Activate(f, x.data(), count, values.data(), *kernels);
    ActivateBackward(f, grad_out.data(), x.data(), count, gradients.data(), *kernels);
    for (size_t i = 0; i < x.size(); ++i) {
      const double wanted = Value(f, x[i]);
      ASSERT_NEAR(values[i], wanted, 1e-6 * (1.0 + std::abs(wanted)))
          << kernels->name << ", f(" << x[i] << ")";
      ASSERT_NEAR(gradients[i], 0.5 * Slope(f, x[i]), 1e-6)
          << kernels->name << ", f'(" << x[i] << ")";
    }
    first_values = first_values.empty() ? values : first_values;
    first_gradients = first_gradients.empty() ? gradients : first_gradients;
    EXPECT_EQ(values, first_values) << kernels->name << ": the same bits as the first table";
    EXPECT_EQ(gradients, first_gradients) << kernels->name << ": the same bits as the first table";
  }
}

TEST_P(ActivationTest, WhatIsNotANumberStaysSo) {
  const std::vector<float> x(17, std::numeric_limits<float>::quiet_NaN());
  for (const KernelTable* kernels : SupportedKernels()) {
    std::vector<float> values(x.size());
    Activate(GetParam(), x.data(), 17, values.data(), *kernels);
    EXPECT_TRUE(std::isnan(values.front()) && std::isnan(values.back())) << kernels->name;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, ActivationTest,
                         testing::Values(Nonlinearity::kNone, Nonlinearity::kGeluTanh,
                                         Nonlinearity::kGeluErf, Nonlinearity::kSilu,
                                         Nonlinearity::kRelu));

}  // namespace
}  // namespace wattle::kernels
