// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tokens chosen by the CUDA kernels, run on the host, against the CPU's sampler.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/device/cuda/decode_step.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/generate/sampler.h"
#include "worker/engine/kernels/random.h"

namespace wattle::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargestUnit = 1.0F - 0x1p-24F;

// Numbers from one seed.
class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  float Unit() { return kernels::RandomUnit({.seed = seed_}, next_++); }
  size_t Below(size_t bound) {
    return static_cast<size_t>(kernels::RandomBelow({.seed = seed_}, next_++, bound));
  }
  template <typename Value>
  Value OneOf(const std::vector<Value>& values) {
    return values[Below(values.size())];
  }

 private:
  uint64_t seed_;
  int64_t next_ = 0;
};

// One of: spread, many ties, few of many, all equal.
std::vector<float> DrawnLogits(Draws& draws, size_t count) {
  const float spread = draws.OneOf<float>({0.0F, 0.5F, 3.0F, 20.0F});
  const bool steps = draws.Below(2) == 0;
  const bool few = draws.Below(4) == 0;
  std::vector<float> logits(count);
  for (float& logit : logits) {
    logit = spread * (draws.Unit() + draws.Unit() + draws.Unit() - 1.5F);
    logit = steps ? std::round(logit) : logit;  // including -0
    if (few && draws.Below(3) > 0) {
      logit = -kInfinity;
    }
  }
  logits[draws.Below(count)] = spread;
  return logits;
}

// The kernels' choices from consecutive rows of logits.
std::vector<long long> Chosen(const std::vector<float>& logits, int rows,
                              const SamplingSettings& sampling, const std::vector<float>& units,
                              uint64_t order) {
  kernels::DecodeModel model;
  model.head.rows = static_cast<int64_t>(logits.size()) / rows;
  cuda::HostLauncher launcher(order);
  cuda::DecodeStep step(model, {}, {}, launcher);
  std::vector<cuda::Amount> amounts(logits.size());
  std::vector<long long> chosen(static_cast<size_t>(rows), -1);
  EXPECT_THAT(step.Choose({.logits = logits.data(),
                           .count = rows,
                           .choice = {.temperature = sampling.temperature,
                                      .top_k = sampling.top_k,
                                      .top_p = sampling.top_p},
                           .units = units.data(),
                           .amounts = amounts.data(),
                           .chosen = chosen.data()}),
              IsOk());
  return chosen;
}

TEST(KernelDrawTest, EveryChoiceIsThatOfTheSampler) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Draws draws(seed);
    const auto vocabulary = draws.OneOf<size_t>({1, 2, 7, 127, 128, 129, 257, 1000, 1025, 2100});
    const auto count = static_cast<int64_t>(vocabulary);
    const SamplingSettings sampling = {
        .temperature = draws.OneOf<double>({0.0, 0.1, 0.7, 1.0, 2.5}),
        .top_k = draws.OneOf<int64_t>({0, 0, 1, 5, 50, count - 1, count, count + 5}),
        .top_p = draws.OneOf<double>({0.0, 0.1, 0.5, 0.9, 0.999, 1.0})};
    SCOPED_TRACE(absl::StrCat("seed ", seed, ": vocabulary ", vocabulary, ", temperature ",
                              sampling.temperature, ", top-k ", sampling.top_k, ", top-p ",
                              sampling.top_p));
    const int rows = 1 + static_cast<int>(draws.Below(3));
    std::vector<float> logits;
    std::vector<float> units;
    std::vector<long long> wanted;
    for (int row = 0; row < rows; ++row) {
      const std::vector<float> own = DrawnLogits(draws, vocabulary);
      logits.insert(logits.end(), own.begin(), own.end());
      units.push_back(draws.OneOf<float>(
          {0.0F, 0.25F, 0.5F, kLargestUnit, draws.Unit(), draws.Unit(), draws.Unit()}));
      wanted.push_back(Sampler(sampling).Draw(own, units.back()));
    }
    EXPECT_EQ(Chosen(logits, rows, sampling, units, seed), wanted);
  }
}

TEST(KernelDrawTest, LogitsThatAreNoNumbersChooseATokenOfTheVocabulary) {
  const std::vector<float> logits(100, std::nanf(""));
  const std::vector<float> units = {0.5F};
  for (const double temperature : {0.0, 1.0}) {
    const long long chosen =
        Chosen(logits, 1, {.temperature = temperature, .top_k = 5, .top_p = 0.5}, units, 3).front();
    EXPECT_GE(chosen, 0);
    EXPECT_LT(chosen, 100);
  }
}

}  // namespace
}  // namespace wattle::engine
