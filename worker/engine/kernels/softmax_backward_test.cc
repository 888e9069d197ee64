// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The backward pass of attention's softmax against its formula in double precision.
#include <cmath>
#include <vector>

#include "gtest/gtest.h"

#include "worker/engine/kernels/instruction_set.h"

namespace wattle::kernels {
namespace {

std::vector<float> Waves(int64_t count, float step) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(std::sin(step * static_cast<float>(i) + 1.0F));
  }
  return values;
}

class SoftmaxBackwardTest : public testing::TestWithParam<int64_t> {};

TEST_P(SoftmaxBackwardTest, AgreesWithTheFormulaOnEveryInstructionSet) {
  const int64_t count = GetParam();
  std::vector<float> probabilities = Waves(count, 0.7F);
  float total = 0.0F;
  for (float& p : probabilities) {
    p *= p;
    total += p;
  }
  for (float& p : probabilities) {
    p /= total;
  }
  const std::vector<float> gradients = Waves(count, 3.1F);
  for (const bool with_dropout : {false, true}) {
    std::vector<float> factors(static_cast<size_t>(count), 1.0F);
    for (size_t i = 0; with_dropout && i < factors.size(); ++i) {
      factors[i] = i % 3 == 1 ? 0.0F : 1.5F;
    }
    double mean = 0.0;
    for (size_t i = 0; i < factors.size(); ++i) {
      mean += static_cast<double>(probabilities[i]) * factors[i] * gradients[i];
    }
    std::vector<float> first;
    for (const KernelTable* kernels : SupportedKernels()) {
      std::vector<float> dropped = factors;
      std::vector<float> of_scores = gradients;
      kernels->softmax_backward({.count = count,
                                 .probabilities = probabilities.data(),
                                 .dropped = with_dropout ? dropped.data() : nullptr,
                                 .gradients = of_scores.data()});
      for (size_t i = 0; i < factors.size(); ++i) {
        const double wanted =
            probabilities[i] * (static_cast<double>(factors[i]) * gradients[i] - mean);
        EXPECT_NEAR(of_scores[i], wanted, 1e-6) << kernels->name << ", key " << i;
        EXPECT_EQ(dropped[i], with_dropout ? probabilities[i] * factors[i] : 1.0F)
            << kernels->name << ", key " << i;
      }
      first = first.empty() ? of_scores : first;
      EXPECT_EQ(of_scores, first) << kernels->name << ": the same bits as the first table";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, SoftmaxBackwardTest, testing::Values(1, 5, 16, 37, 1024));

}  // namespace
}  // namespace wattle::kernels
