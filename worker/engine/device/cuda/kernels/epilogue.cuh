// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The last steps of a sum before it is stored. Nonlinearities have the numbers of
// kernels::Nonlinearity.
#pragma once

#include "gpu.cuh"

namespace wattle::cuda {

__device__ inline float Nonlinear(int nonlinearity, float x) {
  switch (nonlinearity) {
    case 1:
      return 0.5F * x * (1.0F + tanhf(0.7978845608F * (x + 0.044715F * x * x * x)));
    case 2:
      return 0.5F * x * (1.0F + erff(x * 0.7071067812F));
    case 3:
      return x / (1.0F + expf(-x));
    case 4:
      return x > 0.0F ? x : 0.0F;
    default:
      return x;
  }
}

// The result of row `row` for input row i; `gate` is the sum of its gate, if it has one.
__device__ inline void StoreSum(const ProductArguments& a, int i, int row, float gate, float sum) {
  float value = 0.0F;
  int place = row;
  if (a.gated != 0) {
    place = row - a.matrix.rows / 2;
    value = Nonlinear(a.nonlinearity, gate) * sum;
  } else {
    value = Nonlinear(a.nonlinearity, sum);
  }
  float* out = a.out + static_cast<long long>(i) * a.out_stride + place;
  *out = a.accumulate != 0 ? *out + value : value;
}

__device__ inline float FloatFromBf16(unsigned bits) {
  return __uint_as_float(bits << 16);
}

// The nearest BF16, ties to even. Weights are never NaN.
__device__ inline unsigned short Bf16FromFloat(float value) {
  const unsigned bits = __float_as_uint(value);
  return static_cast<unsigned short>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

__device__ inline void StoreDequantized(const DequantizeArguments& a, int row, int column,
                                        float weight) {
  const long long place = static_cast<long long>(row - a.first_row) * a.matrix.columns + column;
  if (a.bf16 != 0) {
    static_cast<unsigned short*>(a.out)[place] = Bf16FromFloat(weight);
  } else {
    static_cast<float*>(a.out)[place] = weight;
  }
}

// One weight of token i, plus that of its position.
__device__ inline void StoreEmbedding(const EmbedArguments& a, int i, int column, float weight) {
  if (a.positions != nullptr) {
    weight += a.positions[static_cast<long long>(a.position_of[i]) * a.matrix.columns + column];
  }
  a.out[static_cast<long long>(i) * a.out_stride + column] = weight;
}

__device__ inline float BiasOf(const ProductArguments& a, int row) {
  return a.bias != nullptr ? a.bias[row] : 0.0F;
}

// Columns [column, column + 4) of an input row; zeros past its end.
__device__ inline float4 LoadInputs4(const float* inputs, int column, int columns) {
  if (column + 4 <= columns) {
    return *reinterpret_cast<const float4*>(inputs + column);
  }
  float4 values = {0.0F, 0.0F, 0.0F, 0.0F};
  values.x = column < columns ? inputs[column] : 0.0F;
  values.y = column + 1 < columns ? inputs[column + 1] : 0.0F;
  values.z = column + 2 < columns ? inputs[column + 2] : 0.0F;
  return values;
}

__device__ inline float Dot4(const float* weights, const float4& inputs) {
  return weights[0] * inputs.x + weights[1] * inputs.y + weights[2] * inputs.z +
         weights[3] * inputs.w;
}

// An integer in the mantissa of 2^23 is the float 2^23 plus that integer. Converting a byte this
// way takes one permutation and one subtraction; a conversion instruction runs at a quarter of the
// GPU's rate.
__device__ inline float ByteAsFloat(unsigned word, int byte, float raise) {
  return __uint_as_float(__byte_perm(word, 0x4B000000U, 0x7440U + byte)) - (8388608.0F + raise);
}

}  // namespace wattle::cuda
