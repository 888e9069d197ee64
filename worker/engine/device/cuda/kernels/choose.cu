// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gpu.cuh"

namespace wattle::cuda {
namespace {

// The better of two candidates: the larger logit, in a tie the first one.
__device__ inline bool Better(float value, int index, float than, int than_index) {
  return value > than || (value == than && index < than_index);
}

}  // namespace

extern "C" {

// The most likely token of each row; blockIdx.x: the row.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce) choose(ChooseArguments a) {
  LetNextKernelBegin();
  AwaitKernelBefore();
  WATTLE_SHARED(float, values, [kWideThreads]);
  WATTLE_SHARED(int, indices, [kWideThreads]);
  const float* logits = a.logits + static_cast<long long>(blockIdx.x) * a.stride;
  const int thread = static_cast<int>(threadIdx.x);
  float best = thread < a.vocabulary ? logits[thread] : logits[0];
  int index = thread < a.vocabulary ? thread : 0;
  constexpr int kAhead = 16;  // number of loads in flight
  WATTLE_UNROLL_BY(1)
  for (int first = thread + kWideThreads; first < a.vocabulary; first += kAhead * kWideThreads) {
    float loaded[kAhead];
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      const int i = first + k * kWideThreads;
      loaded[k] = i < a.vocabulary ? logits[i] : best;
    }
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      const int i = first + k * kWideThreads;
      if (i < a.vocabulary && Better(loaded[k], i, best, index)) {
        best = loaded[k];
        index = i;
      }
    }
  }
  values[thread] = best;
  indices[thread] = index;
  for (int half = kWideThreads / 2; half > 0; half /= 2) {
    __syncthreads();  // the candidates of the previous round are written
    if (thread < half &&
        Better(values[thread + half], indices[thread + half], values[thread], indices[thread])) {
      values[thread] = values[thread + half];
      indices[thread] = indices[thread + half];
    }
  }
  if (thread == 0) {
    a.chosen[blockIdx.x] = indices[0];
  }
}

}  // extern "C"

}  // namespace wattle::cuda
