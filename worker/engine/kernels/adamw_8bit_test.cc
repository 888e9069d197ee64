// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The levels and their nearest codes against a search through all of them, and the error of an
// 8-bit moment.
#include "worker/engine/kernels/adamw_8bit.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

double Distance(absl::Span<const float> levels, uint8_t code, float value) {
  return std::abs(static_cast<double>(levels[code]) - static_cast<double>(value));
}

double NearestDistance(absl::Span<const float> levels, float value) {
  double nearest = 2.0;
  for (size_t code = 0; code < levels.size(); ++code) {
    nearest = std::min(nearest, Distance(levels, static_cast<uint8_t>(code), value));
  }
  return nearest;
}

// Numbers of every size between the smallest level and 1, and those beside each border.
std::vector<float> Probes(absl::Span<const float> levels) {
  std::vector<float> probes = {0.0F, 1e-30F, 1.0F};
  for (int i = 0; i < 20000; ++i) {
    probes.push_back(static_cast<float>(std::pow(10.0, -9.0 * i / 20000.0)));
  }
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const float border = (levels[i] + levels[i + 1]) / 2;
    for (const float beside : {std::nextafter(border, 2.0F), std::nextafter(border, -2.0F)}) {
      probes.push_back(std::abs(beside));
    }
  }
  return probes;
}

TEST(AdamW8bitTest, CodesAreThoseOfTheNearestLevel) {
  for (const float value : Probes(FirstMomentLevels())) {
    for (const float either : {value, -value}) {
      EXPECT_LE(Distance(FirstMomentLevels(), FirstMomentCode(either), either),
                NearestDistance(FirstMomentLevels(), either) + 1e-8)
          << either;
    }
  }
  for (const float value : Probes(SecondMomentLevels())) {
    const uint8_t code = SecondMomentCode(value);
    if (value > 0.0F && code == 1) {  // never the code of 0
      EXPECT_LE(value, SecondMomentLevels()[2]);
      continue;
    }
    EXPECT_LE(Distance(SecondMomentLevels(), code, value),
              NearestDistance(SecondMomentLevels(), value) + 1e-8)
        << value;
  }
  EXPECT_EQ(FirstMomentCode(0.0F), 127);
  EXPECT_EQ(SecondMomentCode(0.0F), 0);
  EXPECT_EQ(SecondMomentCode(1e-20F), 1);
  for (int code = 0; code < 256; ++code) {
    const auto at = static_cast<size_t>(code);
    EXPECT_EQ(FirstMomentCode(FirstMomentLevels()[at]), code);
    EXPECT_EQ(SecondMomentCode(SecondMomentLevels()[at]), code);
  }
}

// Two neighbouring levels of the upper decade are 0.9 / 64 of the scale apart (first moment), and
// 0.9 / 128 (second moment): the error of a moment is at most half of that.
TEST(AdamW8bitTest, AMomentIsWrongByHalfAStepOfItsBlockAtMost) {
  constexpr int64_t kCount = 700;  // the last block is not full
  std::vector<float> weights(kCount, 0.0F);
  std::vector<float> gradients(kCount);
  std::vector<uint8_t> first_codes(kCount, 0);
  std::vector<uint8_t> second_codes(kCount, 0);
  std::vector<float> first_scales(3, 0.0F);
  std::vector<float> second_scales(3, 0.0F);
  for (int64_t i = 0; i < kCount; ++i) {
    gradients[static_cast<size_t>(i)] =
        static_cast<float>(std::sin(static_cast<double>(i)) * (i < 256 ? 1e-3 : 10.0));
  }
  AdamW8bitUpdate({.step = 1, .learning_rate = 0.1, .beta1 = 0.9, .beta2 = 0.99},
                  {.weights = weights.data(),
                   .gradients = gradients.data(),
                   .first_codes = first_codes.data(),
                   .first_scales = first_scales.data(),
                   .second_codes = second_codes.data(),
                   .second_scales = second_scales.data(),
                   .count = kCount});
  EXPECT_LT(first_scales[0], 1e-4F);  // a block has its own scale
  for (int64_t i = 0; i < kCount; ++i) {
    const auto at = static_cast<size_t>(i);
    const auto block = static_cast<size_t>(i / 256);
    const double g = gradients[at];
    EXPECT_NEAR(FirstMomentLevels()[first_codes[at]] * first_scales[block], 0.1 * g,
                0.9 / 64 / 2 * first_scales[block] * 1.001);
    EXPECT_NEAR(SecondMomentLevels()[second_codes[at]] * second_scales[block], 0.01 * g * g,
                0.9 / 128 / 2 * second_scales[block] * 1.001);
    // The update precedes the rounding: the first step equals that of FP32.
    EXPECT_NEAR(weights[at], -0.1 * g / (std::abs(g) + 1e-8), 1e-6) << i;
  }
}

// A gradient of exactly zero after small ones, as for a token of no example. If the second moment
// were rounded to zero, its weight would move by thousands of learning rates.
TEST(AdamW8bitTest, AZeroGradientAfterASmallOneMovesItsWeightLittle) {
  constexpr int64_t kCount = 256;
  std::vector<float> weights(kCount, 0.0F);
  std::vector<float> gradients(kCount, 1.0F);
  gradients[7] = 3e-4F;
  std::vector<uint8_t> first_codes(kCount, 0);
  std::vector<uint8_t> second_codes(kCount, 0);
  float first_scale = 0.0F;
  float second_scale = 0.0F;
  for (int64_t step = 1; step <= 2; ++step) {
    AdamW8bitUpdate({.step = step, .learning_rate = 0.01}, {.weights = weights.data(),
                                                            .gradients = gradients.data(),
                                                            .first_codes = first_codes.data(),
                                                            .first_scales = &first_scale,
                                                            .second_codes = second_codes.data(),
                                                            .second_scales = &second_scale,
                                                            .count = kCount});
    std::fill(gradients.begin(), gradients.end(), 0.0F);
  }
  EXPECT_LT(std::abs(weights[7]), 0.03F);
}

}  // namespace
}  // namespace wattle::kernels
