// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Draws at given points of given distributions.
#include "worker/engine/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/engine/kernels/random.h"

namespace wattle::engine {
namespace {

using testing::ElementsAre;

// Shares 0.4, 0.1, 0.2, 0.3 at temperature 1.
const std::vector<float> kLogits = {std::log(4.0F), std::log(1.0F), std::log(2.0F), std::log(3.0F)};

int64_t Draw(const SamplingSettings& settings, const std::vector<float>& logits, float unit) {
  return Sampler(settings).Draw(logits, unit);
}

std::set<int64_t> Reachable(const SamplingSettings& settings) {
  std::set<int64_t> tokens;
  for (int i = 0; i < 1000; ++i) {
    tokens.insert(Draw(settings, kLogits, static_cast<float>(i) / 1000.0F));
  }
  return tokens;
}

TEST(SamplerTest, TemperatureZeroIsGreedyAndTiesGoToTheSmallerToken) {
  EXPECT_EQ(Draw({}, kLogits, 0.99F), 0);
  const std::vector<float> tie = {1.0F, 2.0F, 2.0F};
  EXPECT_EQ(GreedyToken(tie), 1);
}

TEST(SamplerTest, TheDrawWalksTheSharesFromTheMostLikely) {
  const SamplingSettings settings{.temperature = 1.0};
  EXPECT_EQ(Draw(settings, kLogits, 0.39F), 0);
  EXPECT_EQ(Draw(settings, kLogits, 0.41F), 3);
  EXPECT_EQ(Draw(settings, kLogits, 0.71F), 2);
  EXPECT_EQ(Draw(settings, kLogits, 0.91F), 1);
}

TEST(SamplerTest, TopKAndTopPKeepTheMostLikely) {
  EXPECT_THAT(Reachable({.temperature = 1.0}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_k = 2}), ElementsAre(0, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_p = 0.69}), ElementsAre(0, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_p = 0.71}), ElementsAre(0, 2, 3));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_p = 0.01}), ElementsAre(0));
  EXPECT_THAT(Reachable({.temperature = 1.0, .top_k = 9}), ElementsAre(0, 1, 2, 3));
}

TEST(SamplerTest, TheRepetitionPenaltyMakesSeenTokensLessLikelyOfEitherSign) {
  std::vector<float> logits = {4.0F, -4.0F, 1.0F, -1.0F};
  PenalizeRepetition({0, 1}, 2.0, absl::MakeSpan(logits));
  EXPECT_THAT(logits, ElementsAre(2.0F, -8.0F, 1.0F, -1.0F));

  Sampler sampler({.repetition_penalty = 3.0});
  EXPECT_EQ(sampler.Draw(kLogits, 0.0F), 0);
  sampler.Saw({0, 0});  // log 4 / 3 is below log 2; a token that occurred twice counts once
  EXPECT_EQ(sampler.Draw(kLogits, 0.0F), 3);
  Sampler without({});
  without.Saw({0});
  EXPECT_EQ(without.Draw(kLogits, 0.0F), 0);
}

// The same draw with the whole vocabulary sorted.
int64_t DrawBySorting(const SamplingSettings& settings, const std::vector<float>& logits,
                      float unit) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  double total = 0.0;
  const auto weight = [&](size_t token) {
    return std::exp((static_cast<double>(logits[token]) - logits[order[0]]) / settings.temperature);
  };
  for (const size_t token : order) {
    total += weight(token);
  }
  double passed = 0.0;
  for (const size_t token : order) {
    passed += weight(token);
    if (static_cast<double>(unit) * total < passed) {
      return static_cast<int64_t>(token);
    }
  }
  return static_cast<int64_t>(order.back());
}

TEST(SamplerTest, ALargeVocabularyIsDrawnFromAsIfItWereSorted) {
  // Peaked and flat distributions, with ties: the search ends among the first tokens or far later.
  for (const double temperature : {0.5, 1.0, 30.0}) {
    const SamplingSettings settings{.temperature = temperature};
    std::vector<float> logits(5000);
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] =
          static_cast<float>(kernels::RandomBelow({.seed = 9}, static_cast<int64_t>(i), 2000)) /
          100.0F;
    }
    Sampler sampler(settings);
    for (int i = 0; i < 100; ++i) {
      const float unit = static_cast<float>(i) / 100.0F;
      EXPECT_EQ(sampler.Draw(logits, unit), DrawBySorting(settings, logits, unit))
          << "temperature " << temperature << ", unit " << unit;
    }
  }
}

}  // namespace
}  // namespace wattle::engine
