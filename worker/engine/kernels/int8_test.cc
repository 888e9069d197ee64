// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int8 quantization and products against plain loops in double precision.
#include "worker/engine/kernels/int8.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

#include "worker/engine/kernels/random.h"

namespace wattle::kernels {
namespace {

std::vector<float> Normal(int64_t count, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(count));
  RandomNormal({.seed = seed, .use = RandomUse::kInitialization}, 1.0F, count, values.data());
  return values;
}

TEST(QuantizeInt8RowsTest, ErrorIsAtMostHalfAStepInEachRow) {
  constexpr int64_t kRows = 5;
  constexpr int64_t kColumns = 67;
  std::vector<float> weights = Normal(kRows * kColumns, 1);
  for (int64_t c = 0; c < kColumns; ++c) {
    weights[2 * kColumns + c] = 0.0F;   // a row of zeros
    weights[3 * kColumns + c] *= 1e4F;  // a row of its own size
  }
  std::vector<int8_t> codes(weights.size());
  std::vector<float> scales(kRows);
  ASSERT_TRUE(QuantizeInt8Rows(weights.data(), kRows, kColumns, codes.data(), scales.data()));
  std::vector<float> back(weights.size());
  DequantizeInt8({codes.data(), scales.data(), kRows, kColumns}, back.data());
  EXPECT_EQ(scales[2], 0.0F);
  for (size_t i = 0; i < weights.size(); ++i) {
    const float step = scales[i / kColumns];
    ASSERT_LE(std::fabs(back[i] - weights[i]), 0.5001F * step) << "element " << i;
  }
}

TEST(QuantizeInt8RowsTest, QuantizingTheDequantizedGivesTheSameCodes) {
  const std::vector<float> weights = Normal(6 * 32, 2);
  std::vector<int8_t> codes(weights.size());
  std::vector<float> scales(6);
  ASSERT_TRUE(QuantizeInt8Rows(weights.data(), 6, 32, codes.data(), scales.data()));
  std::vector<float> back(weights.size());
  DequantizeInt8({codes.data(), scales.data(), 6, 32}, back.data());
  std::vector<int8_t> again(weights.size());
  ASSERT_TRUE(QuantizeInt8Rows(back.data(), 6, 32, again.data(), scales.data()));
  EXPECT_EQ(again, codes);
}

TEST(QuantizeInt8RowsTest, RefusesAWeightThatIsNotFinite) {
  std::vector<float> weights = {1.0F, std::numeric_limits<float>::quiet_NaN()};
  int8_t codes[2];
  float scale = 0.0F;
  EXPECT_FALSE(QuantizeInt8Rows(weights.data(), 1, 2, codes, &scale));
  weights[1] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(QuantizeInt8Rows(weights.data(), 1, 2, codes, &scale));
}

TEST(Int8MatMulTest, AgreesWithThePlainLoop) {
  constexpr int64_t kRows = 9;
  constexpr int64_t kColumns = 53;
  constexpr int64_t kCount = 3;
  const std::vector<float> weights = Normal(kRows * kColumns, 3);
  const std::vector<float> inputs = Normal(kCount * kColumns, 4);
  const std::vector<float> bias = Normal(kRows, 5);
  std::vector<int8_t> codes(weights.size());
  std::vector<float> scales(kRows);
  ASSERT_TRUE(QuantizeInt8Rows(weights.data(), kRows, kColumns, codes.data(), scales.data()));
  const Int8Matrix matrix{codes.data(), scales.data(), kRows, kColumns};
  for (const bool with_bias : {true, false}) {
    std::vector<float> out(kCount * kRows);
    Int8MatMul(matrix, inputs.data(), kCount, with_bias ? bias.data() : nullptr, out.data());
    for (int64_t i = 0; i < kCount; ++i) {
      for (int64_t r = 0; r < kRows; ++r) {
        double wanted = with_bias ? bias[r] : 0.0;
        for (int64_t c = 0; c < kColumns; ++c) {
          wanted +=
              static_cast<double>(scales[r]) * codes[r * kColumns + c] * inputs[i * kColumns + c];
        }
        // 53 single-precision additions of terms of about 1.
        EXPECT_NEAR(out[i * kRows + r], wanted, 2e-5) << i << "," << r;
      }
    }
  }
}

}  // namespace
}  // namespace wattle::kernels
