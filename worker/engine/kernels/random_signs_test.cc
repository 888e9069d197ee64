// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Random signs: the same bits everywhere and for any split, and both signs equally likely.
#include <cmath>
#include <vector>

#include "gtest/gtest.h"

#include "worker/engine/kernels/random.h"

namespace wattle::kernels {
namespace {

std::vector<float> Slope(int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const float product = static_cast<float>(i) * 0.37F;
    values.push_back(product - 100.0F);
  }
  return values;
}

uint64_t BytesHash(const std::vector<float>& values) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325ULL;
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (size_t i = 0; i < values.size() * sizeof(float); ++i) {
    hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
  }
  return hash;
}

// The hash was computed independently of this code, from the definitions of Philox and of the
// signs. The test runs on every architecture, so all of them move weights to the same bits.
// Integers from -500 to 499 by steps of one stay exact until the move.
TEST(AddRandomSignsTest, MovesToTheSameBitsEverywhere) {
  const RandomStream stream{.seed = 0x1234567890abcdefULL,
                            .step = 0x500000007ULL,
                            .use = RandomUse::kPerturbation,
                            .layer = 3};
  for (const KernelTable* table : SupportedKernels()) {
    std::vector<float> values;
    for (int64_t i = 0; i < 1000; ++i) {
      values.push_back(static_cast<float>(i - 500));
    }
    AddRandomSigns(stream, 1e-3F, 37, 1000, values.data(), *table);
    EXPECT_EQ(BytesHash(values), 0x717504cf74ba0a61ULL) << table->name;
  }
}

TEST(AddRandomSignsTest, AnySplitMovesToTheSameBits) {
  const RandomStream stream{.seed = 9, .step = 2, .use = RandomUse::kPerturbation};
  std::vector<float> whole = Slope(5000);
  AddRandomSigns(stream, 0.5F, 0, 5000, whole.data());
  for (const int64_t cut : {1, 31, 32, 33, 127, 128, 2047, 2048, 2049, 4999}) {
    std::vector<float> parts = Slope(5000);
    AddRandomSigns(stream, 0.5F, 0, cut, parts.data());
    AddRandomSigns(stream, 0.5F, cut, 5000 - cut, parts.data() + cut);
    EXPECT_EQ(parts, whole) << "cut at " << cut;
  }
}

TEST(AddRandomSignsTest, BothSignsAreEquallyLikelyAndNeighboursIndependent) {
  constexpr int64_t kCount = 1 << 20;
  std::vector<float> signs(kCount, 0.0F);
  AddRandomSigns({.seed = 5, .step = 1, .use = RandomUse::kPerturbation}, 1.0F, 0, kCount,
                 signs.data());
  for (const size_t lag : {0, 1, 31, 32, 128}) {
    double sum = 0.0;
    for (size_t i = 0; i + lag < signs.size(); ++i) {
      ASSERT_EQ(std::abs(signs[i]), 1.0F);
      sum += lag == 0 ? signs[i] : signs[i] * signs[i + lag];
    }
    EXPECT_LT(std::abs(sum), 5.0 * std::sqrt(kCount)) << "lag " << lag;  // five deviations
  }
}

}  // namespace
}  // namespace wattle::kernels
