// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "block_sum.cuh"

namespace wattle::cuda {
namespace {

// Values of a row that a thread holds in registers, so that they are read once; the rest of a wider
// row is read each time.
constexpr int kKept = 4;

template <typename Body>
__device__ inline void ForEachOfRow(const float* x, int width, const float (&kept)[kKept],
                                    Body body) {
  WATTLE_UNROLL
  for (int k = 0; k < kKept; ++k) {
    const int i = static_cast<int>(threadIdx.x) + k * kWideThreads;
    if (i < width) {
      body(kept[k]);
    }
  }
  for (int i = static_cast<int>(threadIdx.x) + kKept * kWideThreads; i < width; i += kWideThreads) {
    body(x[i]);
  }
}

}  // namespace

extern "C" {

// LayerNorm or RMSNorm; blockIdx.x: the row.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce) norm_rows(NormArguments a) {
  LetNextKernelBegin();
  const float* x = a.x + static_cast<long long>(blockIdx.x) * a.x_stride;
  float* out = a.out + static_cast<long long>(blockIdx.x) * a.out_stride;
  const float width = static_cast<float>(a.width);
  float kept[kKept];
  float gains[kKept];  // loaded before the sums are known: one wait less for each
  float biases[kKept];
  WATTLE_UNROLL
  for (int k = 0; k < kKept; ++k) {
    const int i = static_cast<int>(threadIdx.x) + k * kWideThreads;
    gains[k] = i < a.width ? LoadConstant(a.gain + i) : 0.0F;
    biases[k] = i < a.width && a.bias != nullptr ? LoadConstant(a.bias + i) : 0.0F;
  }
  AwaitKernelBefore();
  WATTLE_UNROLL
  for (int k = 0; k < kKept; ++k) {
    const int i = static_cast<int>(threadIdx.x) + k * kWideThreads;
    kept[k] = i < a.width ? x[i] : 0.0F;
  }
  float mean = 0.0F;
  if (a.subtract_mean != 0) {
    float sum = 0.0F;
    ForEachOfRow(x, a.width, kept, [&](float value) { sum += value; });
    mean = SumOfBlock(sum) / width;
  }
  float squares = 0.0F;
  ForEachOfRow(x, a.width, kept, [&](float value) { squares += (value - mean) * (value - mean); });
  const float scale = 1.0F / sqrtf(SumOfBlock(squares) / width + a.epsilon);
  WATTLE_UNROLL
  for (int k = 0; k < kKept; ++k) {
    const int i = static_cast<int>(threadIdx.x) + k * kWideThreads;
    if (i < a.width) {
      out[i] = (kept[k] - mean) * scale * (gains[k] + a.gain_offset) + biases[k];
    }
  }
  for (int i = static_cast<int>(threadIdx.x) + kKept * kWideThreads; i < a.width;
       i += kWideThreads) {
    const float bias = a.bias != nullptr ? LoadConstant(a.bias + i) : 0.0F;
    out[i] = (x[i] - mean) * scale * (LoadConstant(a.gain + i) + a.gain_offset) + bias;
  }
}

}  // extern "C"

}  // namespace wattle::cuda
