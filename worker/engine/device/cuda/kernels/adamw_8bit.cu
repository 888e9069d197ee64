// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "block_sum.cuh"
#include "update.cuh"

namespace wattle::cuda {
namespace {

// The index of the level nearest to a magnitude from 0 to 1, among `count` ascending levels from 0
// to 1. Ties go to the lower level.
__device__ inline int NearestLevel(const float* levels, int count, float magnitude) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (magnitude > (levels[middle] + levels[middle + 1]) / 2.0F) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

__device__ inline unsigned char FirstMomentCode(const float* levels, float value) {
  const int nearest =
      NearestLevel(levels + kZeroMomentCode, kMomentCodes - kZeroMomentCode, fabsf(value));
  // The negative side has no level of -1.
  const int below = nearest < kZeroMomentCode ? nearest : kZeroMomentCode;
  return static_cast<unsigned char>(value < 0.0F ? kZeroMomentCode - below
                                                 : kZeroMomentCode + nearest);
}

// A moment above 0 keeps a code above 0.
__device__ inline unsigned char SecondMomentCode(const float* levels, float value) {
  const int nearest = NearestLevel(levels, kMomentCodes, value);
  return static_cast<unsigned char>(nearest == 0 && value > 0.0F ? 1 : nearest);
}

// The divisor of a scale: where the scale is 0, all numbers of its block are 0.
__device__ inline float Divisor(float scale) {
  return scale > 0.0F ? scale : 1.0F;
}

// One warp per scale.
template <typename Weights>
__device__ inline void UpdateByAdamW8bit(const AdamW8bitArguments& a) {
  const float scale = ScaleOfGradients(a.numbers.gradient_scale, a.numbers.decided);
  if (scale < 0.0F) {
    return;
  }
  const int block = static_cast<int>(blockIdx.x);
  const AdamW8bitParameter& p = ParameterOf(a.parameters, block);
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  const long long moments = static_cast<long long>(block - p.first_block) * kWarpsOfBlock +
                            static_cast<long long>(threadIdx.x) / kWarpThreads;
  const long long begin = moments * kMomentsOfScale + lane;
  if (moments * kMomentsOfScale >= p.count) {
    return;  // the whole warp
  }
  const float first_scale = p.first_scales[moments];
  const float second_scale = p.second_scales[moments];
  float first[kMomentsOfLane];
  float second[kMomentsOfLane];
  float largest_first = 0.0F;
  float largest_second = 0.0F;
  WATTLE_UNROLL
  for (int j = 0; j < kMomentsOfLane; ++j) {
    const long long i = begin + static_cast<long long>(j) * kWarpThreads;
    first[j] = 0.0F;
    second[j] = 0.0F;
    if (i < p.count) {
      first[j] = a.first_levels[p.first_codes[i]] * first_scale;
      second[j] = a.second_levels[p.second_codes[i]] * second_scale;
      const float weight = UpdatedByAdamW(a.numbers, p.keep, Weights::At(p.weights, i),
                                          p.gradients[i] * scale, first[j], second[j]);
      Weights::Put(p.weights, i, weight, p.rounding);
      largest_first = fmaxf(largest_first, fabsf(first[j]));
      largest_second = fmaxf(largest_second, second[j]);
    }
  }
  // Every lane has read the scales before lane 0 writes them, because the warp's shuffles wait for
  // all lanes.
  largest_first = MaxOfWarp(largest_first);
  largest_second = MaxOfWarp(largest_second);
  if (lane == 0) {
    p.first_scales[moments] = largest_first;
    p.second_scales[moments] = largest_second;
  }
  WATTLE_UNROLL
  for (int j = 0; j < kMomentsOfLane; ++j) {
    const long long i = begin + static_cast<long long>(j) * kWarpThreads;
    if (i < p.count) {
      p.first_codes[i] = FirstMomentCode(a.first_levels, first[j] / Divisor(largest_first));
      p.second_codes[i] = SecondMomentCode(a.second_levels, second[j] / Divisor(largest_second));
    }
  }
}

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) adamw_8bit(AdamW8bitArguments a) {
  UpdateByAdamW8bit<FloatWeights>(a);
}

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    adamw_8bit_bf16(AdamW8bitArguments a) {
  UpdateByAdamW8bit<Bf16Weights>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
