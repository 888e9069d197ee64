// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "block_sum.cuh"

namespace wattle::cuda {

extern "C" {

// LayerNorm or RMSNorm; blockIdx.x: the row.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) norm_rows(NormArguments a) {
  const float* x = a.x + static_cast<long long>(blockIdx.x) * a.x_stride;
  float* out = a.out + static_cast<long long>(blockIdx.x) * a.out_stride;
  const float width = static_cast<float>(a.width);
  float mean = 0.0F;
  if (a.subtract_mean != 0) {
    float sum = 0.0F;
    for (int i = threadIdx.x; i < a.width; i += kBlockThreads) {
      sum += x[i];
    }
    mean = SumOfBlock(sum) / width;
  }
  float squares = 0.0F;
  for (int i = threadIdx.x; i < a.width; i += kBlockThreads) {
    squares += (x[i] - mean) * (x[i] - mean);
  }
  const float scale = 1.0F / sqrtf(SumOfBlock(squares) / width + a.epsilon);
  for (int i = threadIdx.x; i < a.width; i += kBlockThreads) {
    const float bias = a.bias != nullptr ? a.bias[i] : 0.0F;
    out[i] = (x[i] - mean) * scale * (a.gain[i] + a.gain_offset) + bias;
  }
}

}  // extern "C"

}  // namespace wattle::cuda
