// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/bf16.h"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

constexpr RandomStream kStream = {
    .seed = 20260201, .step = 3, .use = RandomUse::kWeightRounding, .layer = 5};

float Widened(uint16_t number) {
  float value = 0.0F;
  WidenBf16(&number, 1, &value);
  return value;
}

// The value of a BF16 number by the definition of the format.
double ValueOf(uint16_t number) {
  const double sign = (number & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = (number >> 7) & 0xFF;
  const int mantissa = number & 0x7F;
  return sign *
         (exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, exponent - 134));
}

TEST(Bf16Test, EveryFiniteNumberHasItsValueAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto number = static_cast<uint16_t>(bits);
    if ((number & 0x7F80) == 0x7F80) {
      continue;
    }
    ASSERT_EQ(double{Widened(number)}, ValueOf(number)) << bits;
    ASSERT_EQ(Bf16FromFloat(Widened(number)), number) << bits;
  }
}

TEST(Bf16Test, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7F7F; ++bits) {
    const auto below = static_cast<uint16_t>(bits);
    const auto above = static_cast<uint16_t>(bits + 1);
    const auto middle = static_cast<float>((ValueOf(below) + ValueOf(above)) / 2);
    ASSERT_EQ(Bf16FromFloat(middle), (below & 1) == 0 ? below : above) << bits;
    ASSERT_EQ(Bf16FromFloat(std::nextafter(middle, 0.0F)), below) << bits;
    ASSERT_EQ(Bf16FromFloat(std::nextafter(middle, std::numeric_limits<float>::max())), above)
        << bits;
    ASSERT_EQ(Bf16FromFloat(-middle) & 0x7FFF, Bf16FromFloat(middle)) << bits;
  }
  EXPECT_EQ(Bf16FromFloat(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(Bf16FromFloat(-std::numeric_limits<float>::infinity()), 0xFF80);
  EXPECT_TRUE(std::isnan(Widened(Bf16FromFloat(std::numeric_limits<float>::quiet_NaN()))));
}

// The fraction of numbers rounded up equals the relative distance from below, within five standard
// deviations; each result is one of the two neighbours.
TEST(Bf16Test, StochasticRoundingIsRightInTheMean) {
  constexpr int64_t kCount = 100'000;
  constexpr double kStep = 0x1p-7;  // of BF16 from 1 on
  for (const double sign : {1.0, -1.0}) {
    for (const double share : {0x1p-12, 0.1, 0.5, 0.75, 1.0 - 0x1p-12}) {
      const auto value = static_cast<float>(sign * (1.0 + share * kStep));
      const std::vector<float> values(kCount, value);
      std::vector<uint16_t> numbers(kCount);
      RoundBf16Stochastically(kStream, 0, values.data(), kCount, numbers.data());
      double ups = 0.0;
      for (const uint16_t number : numbers) {
        const double up = (std::fabs(Widened(number)) - 1.0) / kStep;
        ASSERT_TRUE(up == 0.0 || up == 1.0) << Widened(number);
        ups += up;
      }
      EXPECT_NEAR(ups / kCount, share, 5.0 * std::sqrt(share * (1.0 - share) / kCount))
          << "of " << value;
    }
  }
}

// Updates of 1/32 of a step: rounding to nearest would lose all of them.
TEST(Bf16Test, AThousandTinyUpdatesArrive) {
  constexpr int64_t kWeights = 4096;
  constexpr int kUpdates = 1000;
  constexpr double kUpdate = 0x1p-12;
  std::vector<uint16_t> weights(kWeights, Bf16FromFloat(1.0F));
  std::vector<float> values(kWeights);
  for (int step = 1; step <= kUpdates; ++step) {
    WidenBf16(weights.data(), kWeights, values.data());
    for (float& value : values) {
      value += static_cast<float>(kUpdate);
    }
    RandomStream stream = kStream;
    stream.step = static_cast<uint64_t>(step);
    RoundBf16Stochastically(stream, 0, values.data(), kWeights, weights.data());
  }
  double sum = 0.0;
  for (const uint16_t weight : weights) {
    sum += Widened(weight) - 1.0;
  }
  // A weight's number of steps is binomial: 1000 draws of a 32nd.
  const double deviation = 0x1p-7 * std::sqrt(kUpdates / 32.0 * 31.0 / 32.0 / kWeights);
  EXPECT_NEAR(sum / kWeights, kUpdates * kUpdate, 5.0 * deviation);
  EXPECT_EQ(Bf16FromFloat(1.0F + static_cast<float>(kUpdate)), Bf16FromFloat(1.0F));
}

TEST(Bf16Test, StochasticRoundingLeavesBf16NumbersAndWhatIsNotFinite) {
  std::vector<float> values;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    values.push_back(Widened(static_cast<uint16_t>(bits)));
  }
  std::vector<uint16_t> numbers(values.size());
  RoundBf16Stochastically(kStream, 0, values.data(), static_cast<int64_t>(values.size()),
                          numbers.data());
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) {
      ASSERT_TRUE(std::isnan(Widened(numbers[i]))) << i;
    } else {
      ASSERT_EQ(numbers[i], i);
    }
  }
}

TEST(Bf16Test, APieceDrawsTheBitsOfTheWhole) {
  constexpr int64_t kCount = 5001;
  std::vector<float> values(kCount);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = 1.0F + static_cast<float>(i) * 0x1p-15F;
  }
  std::vector<uint16_t> whole(kCount);
  RoundBf16Stochastically(kStream, 0, values.data(), kCount, whole.data());
  std::vector<uint16_t> pieces(kCount);
  for (const auto& [first, end] : {std::pair{0, 3}, {3, 2998}, {2998, 5001}}) {
    RoundBf16Stochastically(kStream, first, values.data() + first, end - first,
                            pieces.data() + first);
  }
  EXPECT_EQ(pieces, whole);
  RandomStream other = kStream;
  ++other.step;
  RoundBf16Stochastically(other, 0, values.data(), kCount, pieces.data());
  EXPECT_NE(pieces, whole);
}

}  // namespace
}  // namespace wattle::kernels
