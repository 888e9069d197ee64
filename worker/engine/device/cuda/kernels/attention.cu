// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attention of one query over the cache. Warps take positions in turn, each with a running maximum
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018); the warps' parts are
// joined at the end, in a fixed order.
#include "block_sum.cuh"

namespace wattle::cuda {
namespace {

// This lane's channels of a row of keys or values: lane, lane + 32, ….
struct CachedRows {
  const void* rows;
  const float* scales;  // null: FP16
  int head_size;

  template <int kChannels>
  __device__ void Load(int position, float (&out)[kChannels]) const {
    const long long first = static_cast<long long>(position) * head_size;
    const float scale = scales != nullptr ? scales[position] : 1.0F;
    WATTLE_UNROLL
    for (int c = 0; c < kChannels; ++c) {
      const int d = static_cast<int>(threadIdx.x) % kWarpThreads + c * kWarpThreads;
      out[c] = 0.0F;
      if (d < head_size) {
        out[c] = scales != nullptr
                     ? static_cast<float>(static_cast<const signed char*>(rows)[first + d]) * scale
                     : FloatFromFp16(static_cast<const unsigned short*>(rows)[first + d]);
      }
    }
  }
};

__device__ inline CachedRows RowsOf(const CacheArguments& cache, const void* rows,
                                    const float* scales, long long first) {
  const long long element = cache.int8 != 0 ? 1 : 2;
  return {static_cast<const unsigned char*>(rows) + first * cache.head_size * element,
          cache.int8 != 0 ? scales + first : nullptr, cache.head_size};
}

// blockIdx.x: (row, query head).
template <int kChannels, int kThreads>
__device__ inline void Attend(const AttentionArguments& a) {
  constexpr int kWarps = kThreads / kWarpThreads;
  WATTLE_SHARED(float, of_warps, [kWarps][kChannels * kWarpThreads]);
  WATTLE_SHARED(float, largest_of, [kWarps]);
  WATTLE_SHARED(float, sum_of, [kWarps]);
  LetNextKernelBegin();
  AwaitKernelBefore();
  const CacheArguments& cache = a.cache;
  const int row = static_cast<int>(blockIdx.x) / cache.heads;
  const int head = static_cast<int>(blockIdx.x) % cache.heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  const int warp = static_cast<int>(threadIdx.x) / kWarpThreads;
  const long long first = (static_cast<long long>(cache.slot_of[row]) * cache.kv_heads +
                           head / (cache.heads / cache.kv_heads)) *
                          cache.capacity;
  const CachedRows keys = RowsOf(cache, cache.keys, cache.key_scales, first);
  const CachedRows values = RowsOf(cache, cache.values, cache.value_scales, first);
  const float* query_row = a.qkv + static_cast<long long>(row) * a.stride + head * cache.head_size;
  float query[kChannels];
  WATTLE_UNROLL
  for (int c = 0; c < kChannels; ++c) {
    const int d = lane + c * kWarpThreads;
    query[c] = d < cache.head_size ? query_row[d] : 0.0F;
  }

  const int last = cache.position_of[row];
  const int begin = a.window > 0 && last + 1 > a.window ? last + 1 - a.window : 0;
  float largest = -3e38F;
  float sum = 0.0F;
  float out[kChannels] = {};
  // Several positions are loaded at the same time, but added one after the other.
  constexpr int kAhead = kChannels <= 4 ? 4 : 1;
  WATTLE_UNROLL_BY(1)
  for (int p = begin + warp; p <= last; p += kAhead * kWarps) {
    float of_keys[kAhead][kChannels];
    float of_values[kAhead][kChannels];
    float scores[kAhead];
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      const int ahead = p + k * kWarps;
      const int position = ahead <= last ? ahead : last;
      keys.Load(position, of_keys[k]);
      values.Load(position, of_values[k]);
    }
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      float dot = 0.0F;
      WATTLE_UNROLL
      for (int c = 0; c < kChannels; ++c) {
        dot += query[c] * of_keys[k][c];
      }
      scores[k] = SumOfWarp(dot);
    }
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      if (p + k * kWarps <= last) {
        const float above = fmaxf(largest, scores[k]);
        const float before = expf(largest - above);
        const float weight = expf(scores[k] - above);
        WATTLE_UNROLL
        for (int c = 0; c < kChannels; ++c) {
          out[c] = out[c] * before + weight * of_values[k][c];
        }
        sum = sum * before + weight;
        largest = above;
      }
    }
  }
  WATTLE_UNROLL
  for (int c = 0; c < kChannels; ++c) {
    of_warps[warp][lane + c * kWarpThreads] = out[c];
  }
  if (lane == 0) {
    largest_of[warp] = largest;
    sum_of[warp] = sum;
  }
  __syncthreads();  // the parts of all warps are written
  float most = largest_of[0];
  for (int w = 1; w < kWarps; ++w) {
    most = fmaxf(most, largest_of[w]);
  }
  for (int d = threadIdx.x; d < cache.head_size; d += kThreads) {
    float channel = 0.0F;
    float total = 0.0F;
    for (int w = 0; w < kWarps; ++w) {
      const float share = expf(largest_of[w] - most);
      channel += share * of_warps[w][d];
      total += share * sum_of[w];
    }
    a.out[static_cast<long long>(row) * a.out_stride + head * cache.head_size + d] =
        channel / total;
  }
}

}  // namespace

extern "C" {

// Instances by the maximum of channels in a head. Few channels leave registers for a wide block.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    attention_64(AttentionArguments a) {
  Attend<2, kWideThreads>(a);
}
__global__ void __launch_bounds__(kAttentionThreads, kAttentionBlocksAtOnce)
    attention_128(AttentionArguments a) {
  Attend<4, kAttentionThreads>(a);
}
__global__ void __launch_bounds__(kAttentionThreads, kAttentionBlocksAtOnce)
    attention_256(AttentionArguments a) {
  Attend<8, kAttentionThreads>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
