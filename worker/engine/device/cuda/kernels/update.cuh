// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shared by the optimizers' kernels.
#pragma once

#include "philox.cuh"

namespace wattle::cuda {

// The factor of gradients; below 0: nothing may change.
__device__ inline float ScaleOfGradients(float scale, const float* decided) {
  return decided != nullptr ? *decided : scale;
}

// The parameter that this block updates.
template <typename Parameter>
__device__ inline const Parameter& ParameterOf(const Parameter (&parameters)[kUpdatedParameters],
                                               int block) {
  int mine = 0;
  while (mine + 1 < kUpdatedParameters && parameters[mine + 1].count > 0 &&
         parameters[mine + 1].first_block <= block) {
    ++mine;
  }
  return parameters[mine];
}

// The weights of a parameter: floats, in place.
struct FloatWeights {
  static __device__ float At(const void* weights, long long i) {
    return static_cast<const float*>(weights)[i];
  }
  static __device__ void Put(void* weights, long long i, float value,
                             const RandomWords& /*rounding*/) {
    static_cast<float*>(weights)[i] = value;
  }
};

// BF16, rounded by kernels::RoundBf16Stochastically: two weights share a random number.
struct Bf16Weights {
  static __device__ float At(const void* weights, long long i) {
    return __uint_as_float(static_cast<unsigned>(static_cast<const unsigned short*>(weights)[i])
                           << 16);
  }
  static __device__ void Put(void* weights, long long i, float value, const RandomWords& rounding) {
    constexpr unsigned kInfinity = 0x7F800000U;
    const FourNumbers numbers =
        NumbersOfBlock(static_cast<unsigned>(i / (2 * kElementsOfCounter)), rounding);
    const int which = static_cast<int>(i / 2 % kElementsOfCounter);
    const unsigned number = which == 0   ? numbers.of[0]
                            : which == 1 ? numbers.of[1]
                            : which == 2 ? numbers.of[2]
                                         : numbers.of[3];
    const unsigned bits = __float_as_uint(value);
    // Non-finite values get no addend: a carry would turn them into other values.
    const bool finite = (bits & kInfinity) != kInfinity;
    const bool is_nan = (bits & 0x7FFFFFFFU) > kInfinity;
    const unsigned rounded = finite ? bits + (i % 2 == 0 ? number & 0xFFFFU : number >> 16)
                                    : bits | (is_nan ? 0x00400000U : 0U);
    static_cast<unsigned short*>(weights)[i] = static_cast<unsigned short>(rounded >> 16);
  }
};

// Updates both moments of a weight; returns the weight. gradient: scaled.
__device__ inline float UpdatedByAdamW(const AdamWNumbers& numbers, float keep, float weight,
                                       float gradient, float& first, float& second) {
  first = numbers.beta1 * first + numbers.rest1 * gradient;
  second = numbers.beta2 * second + numbers.rest2 * gradient * gradient;
  return weight * keep -
         numbers.rate * first / (sqrtf(second) * numbers.inverse_root + numbers.epsilon);
}

}  // namespace wattle::cuda
