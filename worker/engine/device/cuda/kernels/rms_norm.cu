// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// RMSNorm of training: y = w n, n = x r, r = (mean(x²) + ε)^(-1/2), and dx = r (w g - n mean(n w
// g)).
#include "block_sum.cuh"

namespace wattle::cuda {

extern "C" {

// blockIdx.x: the row.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce) rms_norm(RmsNormArguments a) {
  const long long first = static_cast<long long>(blockIdx.x) * a.width;
  const float* x = a.x + first;
  float squares = 0.0F;
  for (int i = static_cast<int>(threadIdx.x); i < a.width; i += kWideThreads) {
    squares += x[i] * x[i];
  }
  const float reciprocal =
      1.0F / sqrtf(SumOfBlock(squares) / static_cast<float>(a.width) + a.epsilon);
  for (int i = static_cast<int>(threadIdx.x); i < a.width; i += kWideThreads) {
    a.out[first + i] = x[i] * reciprocal * (a.gain[i] + a.gain_offset);
  }
  if (threadIdx.x == 0) {
    a.reciprocals[blockIdx.x] = reciprocal;
  }
}

// blockIdx.x: the row.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    rms_norm_backward(RmsNormBackwardArguments a) {
  const long long first = static_cast<long long>(blockIdx.x) * a.width;
  const float* x = a.x + first;
  const float* gradients = a.gradients + first;
  const float reciprocal = a.reciprocals[blockIdx.x];
  float sum = 0.0F;
  for (int i = static_cast<int>(threadIdx.x); i < a.width; i += kWideThreads) {
    sum += x[i] * reciprocal * gradients[i] * (a.gain[i] + a.gain_offset);
  }
  const float projection = SumOfBlock(sum) / static_cast<float>(a.width);
  for (int i = static_cast<int>(threadIdx.x); i < a.width; i += kWideThreads) {
    const float of_normed = gradients[i] * (a.gain[i] + a.gain_offset);
    a.of_x[first + i] = (of_normed - x[i] * reciprocal * projection) * reciprocal;
  }
}

// One thread per column of a chunk; blocks of one chunk are consecutive.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    rms_gain_sums(RmsNormBackwardArguments a) {
  const int blocks = (a.width + kBlockThreads - 1) / kBlockThreads;
  const int chunk = static_cast<int>(blockIdx.x) / blocks;
  const int column =
      static_cast<int>(blockIdx.x) % blocks * kBlockThreads + static_cast<int>(threadIdx.x);
  if (column >= a.width) {
    return;
  }
  const int first = chunk * kRowsOfChunk;
  const int end = first + kRowsOfChunk < a.rows ? first + kRowsOfChunk : a.rows;
  float sum = 0.0F;
  for (int row = first; row < end; ++row) {
    const long long i = static_cast<long long>(row) * a.width + column;
    sum += a.gradients[i] * (a.x[i] * a.reciprocals[row]);
  }
  a.gain_sums[static_cast<long long>(chunk) * a.width + column] = sum;
}

// One thread per column.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    rms_gain(RmsNormBackwardArguments a) {
  const int column = static_cast<int>(blockIdx.x) * kBlockThreads + static_cast<int>(threadIdx.x);
  if (column >= a.width) {
    return;
  }
  float sum = 0.0F;
  for (int chunk = 0; chunk < a.chunks; ++chunk) {
    sum += a.gain_sums[static_cast<long long>(chunk) * a.width + column];
  }
  a.gain_gradient[column] += sum;
}

}  // extern "C"

}  // namespace wattle::cuda
