// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The generator against the published vectors, its independence of the division of work, and
// dropout against a plain loop.
#include "worker/engine/kernels/random.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

using testing::ElementsAre;

// Random123 1.14, tests/kat_vectors, "philox4x32 10".
TEST(PhiloxTest, AgreesWithThePublishedVectors) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U));
  EXPECT_THAT(
      Philox4x32({0xffffffffU, 0xffffffffU, 0xffffffffU, 0xffffffffU}, {0xffffffffU, 0xffffffffU}),
      ElementsAre(0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU));
  EXPECT_THAT(
      Philox4x32({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, {0xa4093822U, 0x299f31d0U}),
      ElementsAre(0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U));
}

TEST(RandomBitsTest, LanesAgreeWithTheSingleBlock) {
  const RandomStream stream{.seed = 0x1234567890abcdefULL,
                            .step = 0x500000007ULL,
                            .use = RandomUse::kMlpOutputDropout,
                            .layer = 3};
  std::vector<uint32_t> bits(301);
  RandomBits(stream, 0, 301, bits.data());
  for (uint32_t i = 0; i < bits.size(); ++i) {
    const auto block = Philox4x32({i / 4, 5, (3U << 8) | 4U, 7}, {0x90abcdefU, 0x12345678U});
    ASSERT_EQ(bits[i], block[i % 4]) << "element " << i;
  }
}

TEST(RandomBitsTest, EveryInstructionSetDrawsTheSameBits) {
  const RandomStream stream{.seed = 77, .step = 5, .use = RandomUse::kMlpOutputDropout, .layer = 2};
  std::vector<uint32_t> wanted(333);
  RandomBits(stream, 3, 333, wanted.data(), *FindKernels("portable"));
  std::vector<float> wanted_values(333, 1.5F);
  ApplyDropout(stream, 0.3, 3, 333, wanted_values.data(), *FindKernels("portable"));
  for (const KernelTable* table : SupportedKernels()) {
    std::vector<uint32_t> bits(333);
    RandomBits(stream, 3, 333, bits.data(), *table);
    EXPECT_EQ(bits, wanted) << table->name;
    std::vector<float> values(333, 1.5F);
    ApplyDropout(stream, 0.3, 3, 333, values.data(), *table);
    EXPECT_EQ(values, wanted_values) << table->name;
  }
}

TEST(RandomBitsTest, AnySplitDrawsTheSameBits) {
  const RandomStream stream{.seed = 9, .step = 2};
  std::vector<uint32_t> whole(500);
  RandomBits(stream, 0, 500, whole.data());
  for (const int64_t cut : {1, 3, 4, 63, 64, 65, 257}) {
    std::vector<uint32_t> parts(500);
    RandomBits(stream, 0, cut, parts.data());
    RandomBits(stream, cut, 500 - cut, parts.data() + cut);
    EXPECT_EQ(parts, whole) << "cut at " << cut;
  }
}

TEST(RandomBitsTest, EveryCounterMatters) {
  const RandomStream base{.seed = 1, .step = 1, .use = RandomUse::kSampling, .layer = 1};
  auto draw = [](RandomStream stream) { return RandomUnit(stream, 0); };
  EXPECT_NE(draw(base), draw({.seed = 2, .step = 1, .use = RandomUse::kSampling, .layer = 1}));
  EXPECT_NE(draw(base), draw({.seed = 1, .step = 2, .use = RandomUse::kSampling, .layer = 1}));
  EXPECT_NE(draw(base), draw({.seed = 1, .step = 1, .use = RandomUse::kDataOrder, .layer = 1}));
  EXPECT_NE(draw(base), draw({.seed = 1, .step = 1, .use = RandomUse::kSampling, .layer = 2}));
  EXPECT_NE(RandomUnit(base, 0), RandomUnit(base, 1));
}

TEST(ApplyDropoutTest, AgreesWithThePlainLoopAndRepeats) {
  const RandomStream stream{.seed = 4, .step = 11, .use = RandomUse::kAttentionDropout, .layer = 2};
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i) - 500.5F;
  }
  std::vector<uint32_t> bits(values.size());
  RandomBits(stream, 0, 1000, bits.data());
  std::vector<float> wanted(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    wanted[i] = bits[i] < 0.25 * 0x1.0p32 ? 0.0F : values[i] * static_cast<float>(1.0 / 0.75);
  }
  std::vector<float> dropped = values;
  ApplyDropout(stream, 0.25, 0, 333, dropped.data());
  ApplyDropout(stream, 0.25, 333, 667, dropped.data() + 333);
  EXPECT_EQ(dropped, wanted);
}

TEST(ApplyDropoutTest, DropsTheStatedShare) {
  std::vector<float> values(200000, 1.0F);
  ApplyDropout({.seed = 5, .step = 1}, 0.1, 0, 200000, values.data());
  int64_t zeros = 0;
  double sum = 0.0;
  for (const float value : values) {
    zeros += value == 0.0F ? 1 : 0;
    sum += value;
  }
  // Six standard deviations of a binomial fraction at n = 200,000.
  EXPECT_NEAR(static_cast<double>(zeros) / 200000, 0.1, 0.004);
  EXPECT_NEAR(sum / 200000, 1.0, 0.005);
}

TEST(RandomNormalTest, HasTheStatedMoments) {
  std::vector<float> values(100001);
  RandomNormal({.seed = 6, .use = RandomUse::kInitialization}, 0.02F, 100001, values.data());
  double sum = 0.0;
  double squares = 0.0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / 100001, 0.0, 0.02 * 6 / std::sqrt(100001.0));
  EXPECT_NEAR(std::sqrt(squares / 100001), 0.02, 0.02 * 0.02);
}

TEST(RandomBelowTest, StaysInRangeAndReachesEveryValue) {
  std::vector<int> seen(7, 0);
  for (int64_t element = 0; element < 700; ++element) {
    const uint64_t value = RandomBelow({.seed = 3}, element, 7);
    ASSERT_LT(value, 7U);
    ++seen[value];
  }
  EXPECT_THAT(seen, testing::Each(testing::Ge(50)));
}

}  // namespace
}  // namespace wattle::kernels
