// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gpu.cuh"

namespace wattle::cuda {
namespace {

// The better of two candidates: the larger, of equals the first.
__device__ inline bool Better(float value, int index, float than, int than_index) {
  return value > than || (value == than && index < than_index);
}

}  // namespace

extern "C" {

// The most likely token of each row; blockIdx.x: the row.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) choose(ChooseArguments a) {
  WATTLE_SHARED(float, values, [kBlockThreads]);
  WATTLE_SHARED(int, indices, [kBlockThreads]);
  const float* logits = a.logits + static_cast<long long>(blockIdx.x) * a.stride;
  const int thread = static_cast<int>(threadIdx.x);
  float best = thread < a.vocabulary ? logits[thread] : logits[0];
  int index = thread < a.vocabulary ? thread : 0;
  WATTLE_UNROLL_BY(8)  // loads of eight are under way at once
  for (int i = thread + kBlockThreads; i < a.vocabulary; i += kBlockThreads) {
    if (Better(logits[i], i, best, index)) {
      best = logits[i];
      index = i;
    }
  }
  values[thread] = best;
  indices[thread] = index;
  for (int half = kBlockThreads / 2; half > 0; half /= 2) {
    __syncthreads();  // the candidates of the round before are there
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
