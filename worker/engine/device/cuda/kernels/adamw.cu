// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gpu.cuh"

namespace wattle::cuda {

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) adamw(AdamWArguments a) {
  const int block = static_cast<int>(blockIdx.x);
  int mine = 0;
  while (mine + 1 < kAdamWParameters && a.parameters[mine + 1].count > 0 &&
         a.parameters[mine + 1].first_block <= block) {
    ++mine;
  }
  const AdamWParameter& p = a.parameters[mine];
  const long long begin = static_cast<long long>(block - p.first_block) * kUpdatedElements +
                          static_cast<long long>(threadIdx.x);
  WATTLE_UNROLL
  for (int j = 0; j < kUpdatesOfThread; ++j) {
    const long long i = begin + static_cast<long long>(j) * kBlockThreads;
    if (i >= p.count) {
      return;
    }
    const float gradient = p.gradients[i] * a.gradient_scale;
    const float first = a.beta1 * p.first_moments[i] + a.rest1 * gradient;
    const float second = a.beta2 * p.second_moments[i] + a.rest2 * gradient * gradient;
    p.first_moments[i] = first;
    p.second_moments[i] = second;
    p.weights[i] =
        p.weights[i] * p.keep - a.rate * first / (sqrtf(second) * a.inverse_root + a.epsilon);
  }
}

}  // extern "C"

}  // namespace wattle::cuda
