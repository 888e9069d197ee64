// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "update.cuh"

namespace wattle::cuda {
namespace {

template <typename Weights>
__device__ inline void UpdateByAdamW(const AdamWArguments& a) {
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
    const float weight = UpdatedByAdamW(a.numbers, p.keep, Weights::At(p.weights, i),
                                        p.gradients[i] * scale, first, second);
    Weights::Put(p.weights, i, weight, p.rounding);
    p.first_moments[i] = first;
    p.second_moments[i] = second;
  }
}

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) adamw(AdamWArguments a) {
  UpdateByAdamW<FloatWeights>(a);
}

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) adamw_bf16(AdamWArguments a) {
  UpdateByAdamW<Bf16Weights>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
