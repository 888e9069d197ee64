// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "update.cuh"

namespace wattle::cuda {

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) adamw(AdamWArguments a) {
  const float scale = ScaleOfGradients(a.numbers.gradient_scale, a.numbers.decided);
  if (scale < 0.0F) {
    return;
  }
  const int block = static_cast<int>(blockIdx.x);
  const AdamWParameter& p = ParameterOf(a.parameters, block);
  const long long begin = static_cast<long long>(block - p.first_block) * kUpdatedElements +
                          static_cast<long long>(threadIdx.x);
  WATTLE_UNROLL
  for (int j = 0; j < kUpdatesOfThread; ++j) {
    const long long i = begin + static_cast<long long>(j) * kBlockThreads;
    if (i >= p.count) {
      return;
    }
    float first = p.first_moments[i];
    float second = p.second_moments[i];
    p.weights[i] =
        UpdatedByAdamW(a.numbers, p.keep, p.weights[i], p.gradients[i] * scale, first, second);
    p.first_moments[i] = first;
    p.second_moments[i] = second;
  }
}

}  // extern "C"

}  // namespace wattle::cuda
