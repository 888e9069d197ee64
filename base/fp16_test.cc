// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/fp16.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace wattle {
namespace {

// The value of a half by the definition of the format.
double ValueOf(uint16_t half) {
  const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = (half >> 10) & 0x1F;
  const int mantissa = half & 0x3FF;
  if (exponent == 0) {
    return sign * std::ldexp(mantissa, -24);
  }
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(HalfTest, EveryFiniteHalfHasItsValueAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7C00) == 0x7C00) {
      continue;
    }
    ASSERT_EQ(FloatFromFp16(half), static_cast<float>(ValueOf(half))) << bits;
    ASSERT_EQ(Fp16FromFloat(FloatFromFp16(half)), half) << bits;
  }
}

TEST(HalfTest, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const auto below = static_cast<uint16_t>(bits);
    const auto above = static_cast<uint16_t>(bits + 1);
    const auto middle = static_cast<float>((ValueOf(below) + ValueOf(above)) / 2);
    ASSERT_EQ(Fp16FromFloat(middle), (below & 1) == 0 ? below : above) << bits;
    ASSERT_EQ(Fp16FromFloat(std::nextafter(middle, 0.0F)), below) << bits;
    ASSERT_EQ(Fp16FromFloat(std::nextafter(middle, 1e9F)), above) << bits;
    ASSERT_EQ(Fp16FromFloat(-middle) & 0x7FFF, Fp16FromFloat(middle)) << bits;
  }
}

TEST(HalfTest, TooLargeIsInfiniteAndNotANumberStays) {
  EXPECT_EQ(Fp16FromFloat(65519.0F), 0x7BFF);
  EXPECT_EQ(Fp16FromFloat(65520.0F), 0x7C00);
  EXPECT_EQ(Fp16FromFloat(-65520.0F), 0xFC00);
  EXPECT_EQ(Fp16FromFloat(-1e30F), 0xFC00);
  EXPECT_EQ(Fp16FromFloat(0x1p-26F), 0);
  EXPECT_TRUE(std::isinf(FloatFromFp16(0x7C00)));
  EXPECT_TRUE(std::isnan(FloatFromFp16(Fp16FromFloat(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(HalfTest, ABf16NumberIsTheUpperHalfOfAFloat) {
  EXPECT_EQ(FloatFromBf16(0x3F80), 1.0F);
  EXPECT_EQ(FloatFromBf16(0xC049), -3.140625F);
  EXPECT_TRUE(std::isinf(FloatFromBf16(0x7F80)));
}

}  // namespace
}  // namespace wattle
