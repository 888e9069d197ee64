// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "block_sum.cuh"

namespace wattle::cuda {
namespace {

// Dimension d of a head after the rotation. Both values of a pair are read unrotated.
__device__ inline float Turned(const RotaryArguments& a, const float* head, int position, int d) {
  if (d >= a.dimensions) {
    return head[d];
  }
  const int half = a.dimensions / 2;
  const int i = d < half ? d : d - half;
  const float cosine = a.cosines[static_cast<long long>(position) * half + i];
  const float sine = a.sines[static_cast<long long>(position) * half + i];
  return d < half ? head[i] * cosine - head[i + half] * sine
                  : head[i + half] * cosine + head[i] * sine;
}

__device__ inline void TurnQuery(const RotaryArguments& a, float* head, int position) {
  const int half = a.dimensions / 2;
  for (int i = threadIdx.x; i < half; i += kWarpThreads) {
    const float first = Turned(a, head, position, i);
    const float second = Turned(a, head, position, i + half);
    head[i] = first * a.query_scale;
    head[i + half] = second * a.query_scale;
  }
  for (int d = a.dimensions + threadIdx.x; d < a.cache.head_size; d += kWarpThreads) {
    head[d] *= a.query_scale;
  }
}

// Stores a key (rotated) or a value as a row of the cache.
__device__ inline void Keep(const RotaryArguments& a, const float* head, bool key, int row,
                            int kv_head) {
  const CacheArguments& cache = a.cache;
  const int position = cache.position_of[row];
  const long long place =
      (static_cast<long long>(cache.slot_of[row]) * cache.kv_heads + kv_head) * cache.capacity +
      position;
  const auto at = [&](int d) { return key ? Turned(a, head, position, d) : head[d]; };
  void* rows = key ? cache.keys : cache.values;
  if (cache.int8 == 0) {
    unsigned short* out = static_cast<unsigned short*>(rows) + place * cache.head_size;
    for (int d = threadIdx.x; d < cache.head_size; d += kWarpThreads) {
      out[d] = Fp16FromFloat(at(d));
    }
    return;
  }
  float largest = 0.0F;
  for (int d = threadIdx.x; d < cache.head_size; d += kWarpThreads) {
    largest = fmaxf(largest, fabsf(at(d)));
  }
  largest = MaxOfWarp(largest);
  const float scale = largest / 127.0F;
  signed char* out = static_cast<signed char*>(rows) + place * cache.head_size;
  for (int d = threadIdx.x; d < cache.head_size; d += kWarpThreads) {
    out[d] = static_cast<signed char>(scale > 0.0F ? rintf(at(d) / scale) : 0.0F);
  }
  if (threadIdx.x == 0) {
    (key ? cache.key_scales : cache.value_scales)[place] = scale;
  }
}

}  // namespace

extern "C" {

// blockIdx.x: (row, head), heads in the order of qkv. One warp.
__global__ void __launch_bounds__(kWarpThreads) rotary(RotaryArguments a) {
  LetNextKernelBegin();
  AwaitKernelBefore();
  const int heads = a.cache.heads + 2 * a.cache.kv_heads;
  const int row = static_cast<int>(blockIdx.x) / heads;
  const int head = static_cast<int>(blockIdx.x) % heads;
  float* values = a.qkv + static_cast<long long>(row) * a.stride +
                  static_cast<long long>(head) * a.cache.head_size;
  if (head < a.cache.heads) {
    TurnQuery(a, values, a.cache.position_of[row]);
  } else {
    const int kept = head - a.cache.heads;
    const bool key = kept < a.cache.kv_heads;
    Keep(a, values, key, row, key ? kept : kept - a.cache.kv_heads);
  }
}

}  // extern "C"

}  // namespace wattle::cuda
