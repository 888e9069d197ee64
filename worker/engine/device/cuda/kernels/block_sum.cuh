// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sums and maxima over lanes and threads, in a fixed order.
#pragma once

#include "gpu.cuh"

namespace wattle::cuda {

// Sum, in all lanes of the warp.
__device__ inline float SumOfWarp(float value) {
  WATTLE_UNROLL
  for (int distance = 1; distance < kWarpThreads; distance *= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFU, value, distance);
  }
  return value;
}

__device__ inline float MaxOfWarp(float value) {
  WATTLE_UNROLL
  for (int distance = 1; distance < kWarpThreads; distance *= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFU, value, distance));
  }
  return value;
}

// Maximum, in all threads of a wide block.
__device__ inline float MaxOfBlock(float value) {
  WATTLE_SHARED(float, of_warps, [kWarpsOfWide]);
  value = MaxOfWarp(value);
  __syncthreads();  // the previous maxima have been read
  if (threadIdx.x % kWarpThreads == 0) {
    of_warps[threadIdx.x / kWarpThreads] = value;
  }
  __syncthreads();
  return MaxOfWarp(of_warps[threadIdx.x % kWarpsOfWide]);
}

// Sum, in all threads of a wide block.
__device__ inline float SumOfBlock(float value) {
  WATTLE_SHARED(float, of_warps, [kWarpsOfWide]);
  value = SumOfWarp(value);
  __syncthreads();  // the previous sums have been read
  if (threadIdx.x % kWarpThreads == 0) {
    of_warps[threadIdx.x / kWarpThreads] = value;
  }
  __syncthreads();
  static_assert(kWarpsOfWide <= kWarpThreads);
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  return SumOfWarp(lane < kWarpsOfWide ? of_warps[lane] : 0.0F);
}

}  // namespace wattle::cuda
