// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gpu.cuh"

namespace wattle::cuda {

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) adamw(AdamWArguments a) {
  const long long begin = static_cast<long long>(blockIdx.x) * kUpdatedElements +
                          static_cast<long long>(threadIdx.x);
  WATTLE_UNROLL
  for (int j = 0; j < kUpdatesOfThread; ++j) {
    const long long i = begin + static_cast<long long>(j) * kBlockThreads;
    if (i >= a.count) {
      return;
    }
    const float gradient = a.gradients[i] * a.gradient_scale;
    const float first = a.beta1 * a.first_moments[i] + a.rest1 * gradient;
    const float second = a.beta2 * a.second_moments[i] + a.rest2 * gradient * gradient;
    a.first_moments[i] = first;
    a.second_moments[i] = second;
    a.weights[i] = a.weights[i] * a.keep -
                   a.rate * first / (sqrtf(second) * a.inverse_root + a.epsilon);
  }
}

}  // extern "C"

}  // namespace wattle::cuda
