// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the optimizers' kernels share.
#pragma once

#include "gpu.cuh"

namespace wattle::cuda {

// What gradients are multiplied by; below 0: no number may change.
__device__ inline float ScaleOfGradients(float scale, const float* decided) {
  return decided != nullptr ? *decided : scale;
}

// The parameter that a block updates.
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

// Updates both moments of a weight; returns the weight. gradient: scaled.
__device__ inline float UpdatedByAdamW(const AdamWNumbers& numbers, float keep, float weight,
                                       float gradient, float& first, float& second) {
  first = numbers.beta1 * first + numbers.rest1 * gradient;
  second = numbers.beta2 * second + numbers.rest2 * gradient * gradient;
  return weight * keep -
         numbers.rate * first / (sqrtf(second) * numbers.inverse_root + numbers.epsilon);
}

}  // namespace wattle::cuda
