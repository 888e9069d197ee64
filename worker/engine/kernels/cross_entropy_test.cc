// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The loss of a row against its formula in double precision.
#include "worker/engine/kernels/cross_entropy.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

std::vector<float> Logits(int64_t count, float spread) {
  std::vector<float> logits;
  for (int64_t i = 0; i < count; ++i) {
    logits.push_back(spread * std::sin(static_cast<float>(7 * i + 3)));
  }
  return logits;
}

class CrossEntropyTest : public testing::TestWithParam<int64_t> {};

TEST_P(CrossEntropyTest, AgreesWithTheFormulaOnEveryInstructionSet) {
  const int64_t count = GetParam();
  for (const float spread : {0.5F, 30.0F}) {
    for (const int64_t target : {int64_t{0}, count / 2, count - 1}) {
      const std::vector<float> logits = Logits(count, spread);
      double sum = 0.0;
      for (const float logit : logits) {
        sum += std::exp(static_cast<double>(logit) - spread);
      }
      const double wanted =
          std::log(sum) + spread - static_cast<double>(logits[static_cast<size_t>(target)]);
      std::vector<float> first;
      for (const KernelTable* kernels : SupportedKernels()) {
        std::vector<float> gradient = logits;
        const double loss =
            CrossEntropyAndGradient(gradient.data(), count, target, 0.25F, *kernels);
        EXPECT_NEAR(loss, wanted, 2e-6 * (1.0 + wanted)) << kernels->name;
        for (int64_t i = 0; i < count; ++i) {
          const auto at = static_cast<size_t>(i);
          const double share = std::exp(static_cast<double>(logits[at]) - spread) / sum;
          EXPECT_NEAR(gradient[at], 0.25 * (share - (i == target ? 1.0 : 0.0)), 1e-6)
              << kernels->name << ", element " << i << " of " << count;
        }
        first = first.empty() ? gradient : first;
        EXPECT_EQ(gradient, first) << kernels->name << ": the same bits as the first table";
      }
    }
  }
}

TEST_P(CrossEntropyTest, ALogitThatIsNotFiniteMakesTheLossNotANumber) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const KernelTable* kernels : SupportedKernels()) {
      std::vector<float> logits = Logits(GetParam(), 1.0F);
      logits.back() = bad;
      EXPECT_TRUE(std::isnan(CrossEntropyAndGradient(logits.data(), GetParam(), 0, 1.0F, *kernels)))
          << kernels->name << ", " << bad;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, CrossEntropyTest, testing::Values(1, 5, 16, 37, 1024, 5003));

}  // namespace
}  // namespace wattle::kernels
