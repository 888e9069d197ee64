// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/int8.h"

#include <cmath>

namespace wattle::kernels {
namespace {

constexpr float kLargestCode = 127.0F;
// Independent partial sums: they let the compiler use vectors without changing the order of the
// additions it is given.
constexpr int64_t kPartialSums = 16;

float Dot(const int8_t* codes, const float* inputs, int64_t count) {
  float sums[kPartialSums] = {};
  int64_t i = 0;
  for (; i + kPartialSums <= count; i += kPartialSums) {
    for (int64_t lane = 0; lane < kPartialSums; ++lane) {
      sums[lane] += static_cast<float>(codes[i + lane]) * inputs[i + lane];
    }
  }
  for (; i < count; ++i) {
    sums[0] += static_cast<float>(codes[i]) * inputs[i];
  }
  float total = 0.0F;
  for (const float sum : sums) {
    total += sum;
  }
  return total;
}

}  // namespace

bool QuantizeInt8Rows(const float* weights, int64_t rows, int64_t columns, int8_t* codes,
                      float* scales) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = weights + r * columns;
    float largest = 0.0F;
    for (int64_t c = 0; c < columns; ++c) {
      if (!std::isfinite(row[c])) {
        return false;
      }
      largest = std::fmax(largest, std::fabs(row[c]));
    }
    scales[r] = largest / kLargestCode;
    for (int64_t c = 0; c < columns; ++c) {
      // The quotient of a subnormal scale may exceed the range, so it is held inside.
      const float code = scales[r] == 0.0F ? 0.0F : std::nearbyint(row[c] / scales[r]);
      codes[r * columns + c] =
          static_cast<int8_t>(std::fmin(std::fmax(code, -kLargestCode), kLargestCode));
    }
  }
  return true;
}

void DequantizeInt8(const Int8Matrix& matrix, float* out) {
  for (int64_t r = 0; r < matrix.rows; ++r) {
    for (int64_t c = 0; c < matrix.columns; ++c) {
      const int64_t i = r * matrix.columns + c;
      out[i] = static_cast<float>(matrix.codes[i]) * matrix.scales[r];
    }
  }
}

void Int8MatMul(const Int8Matrix& matrix, const float* inputs, int64_t count, const float* bias,
                float* out) {
  for (int64_t r = 0; r < matrix.rows; ++r) {
    const int8_t* codes = matrix.codes + r * matrix.columns;
    for (int64_t i = 0; i < count; ++i) {
      const float sum = Dot(codes, inputs + i * matrix.columns, matrix.columns);
      out[i * matrix.rows + r] = sum * matrix.scales[r] + (bias == nullptr ? 0.0F : bias[r]);
    }
  }
}

}  // namespace wattle::kernels
