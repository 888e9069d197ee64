// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Draws at known places of known distributions.
#include "worker/engine/generate/sampler.h"

#include <cmath>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::engine {
namespace {

using testing::ElementsAre;

// Shares 0.4, 0.1, 0.2, 0.3 at temperature 1.
const std::vector<float> kLogits = {std::log(4.0F), std::log(1.0F), std::log(2.0F), std::log(3.0F)};

std::set<int64_t> Reachable(const SamplingSettings& settings) {
  std::set<int64_t> tokens;
  for (int i = 0; i < 1000; ++i) {
    tokens.insert(SampleToken(settings, kLogits, static_cast<float>(i) / 1000.0F));
  }
  return tokens;
}

TEST(SamplerTest, TemperatureZeroIsGreedyAndTiesGoToTheSmallerToken) {
  EXPECT_EQ(SampleToken({}, kLogits, 0.99F), 0);
  const std::vector<float> tie = {1.0F, 2.0F, 2.0F};
  EXPECT_EQ(GreedyToken(tie), 1);
}

TEST(SamplerTest, TheDrawWalksTheSharesFromTheMostLikely) {
  const SamplingSettings settings{.temperature = 1.0};
  EXPECT_EQ(SampleToken(settings, kLogits, 0.39F), 0);
  EXPECT_EQ(SampleToken(settings, kLogits, 0.41F), 3);
  EXPECT_EQ(SampleToken(settings, kLogits, 0.71F), 2);
  EXPECT_EQ(SampleToken(settings, kLogits, 0.91F), 1);
}

TEST(SamplerTest, TopKAndTopPKeepTheMostLikely) {
  EXPECT_THAT(Reachable({.temperature = 1.0}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_k = 2}), ElementsAre(0, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_p = 0.69}), ElementsAre(0, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_p = 0.71}), ElementsAre(0, 2, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_p = 0.01}), ElementsAre(0));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_k = 9}), ElementsAre(0, 1, 2, 3));
}

}  // namespace
}  // namespace wattle::engine
