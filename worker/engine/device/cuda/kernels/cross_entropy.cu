// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads a row of logits twice: once for its maximum and its sum together (Milakov and Gimelshein,
// "Online normalizer calculation for softmax", 2018), and once for its gradient.
#include "block_sum.cuh"

namespace wattle::cuda {

extern "C" {

// blockIdx.x: the row.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    cross_entropy(CrossEntropyArguments a) {
  float* logits = a.logits + static_cast<long long>(blockIdx.x) * a.stride;
  const int target = static_cast<int>(a.targets[blockIdx.x]);
  const float of_target = logits[target];
  float largest = -3.402823466e38F;
  float sum = 0.0F;
  for (int i = static_cast<int>(threadIdx.x); i < a.vocabulary; i += kWideThreads) {
    const float logit = logits[i];
    const float before = largest;
    largest = fmaxf(largest, logit);
    sum = sum * expf(before - largest) + expf(logit - largest);
  }
  const float of_row = MaxOfBlock(largest);
  // No thread writes a logit before every thread has read of_target, because SumOfBlock waits for
  // all.
  sum = SumOfBlock(sum * expf(largest - of_row));
  const float scale = a.gradient_scale / sum;
  for (int i = static_cast<int>(threadIdx.x); i < a.vocabulary; i += kWideThreads) {
    const float gradient = expf(logits[i] - of_row) * scale;
    logits[i] = i == target ? gradient - a.gradient_scale : gradient;
  }
  if (threadIdx.x == 0) {
    a.losses[blockIdx.x] = logf(sum) + (of_row - of_target);
  }
}

}  // extern "C"

}  // namespace wattle::cuda
