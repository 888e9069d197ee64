// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gpu.cuh"

namespace wattle::cuda {
namespace {

// The constants of Philox4x32-10 (kernels/random.h).
constexpr unsigned kMultiplier0 = 0xD2511F53U;
constexpr unsigned kMultiplier1 = 0xCD9E8D57U;
constexpr unsigned kWeyl0 = 0x9E3779B9U;
constexpr unsigned kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;

struct FourWords {
  unsigned word[4];
};

__device__ inline FourWords Philox(unsigned block, const DropoutArguments& a) {
  FourWords counter = {{block, a.words[0], a.words[1], a.words[2]}};
  unsigned key0 = a.key[0];
  unsigned key1 = a.key[1];
  WATTLE_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const unsigned long long product0 =
        static_cast<unsigned long long>(kMultiplier0) * counter.word[0];
    const unsigned long long product1 =
        static_cast<unsigned long long>(kMultiplier1) * counter.word[2];
    counter = {{static_cast<unsigned>(product1 >> 32) ^ counter.word[1] ^ key0,
                static_cast<unsigned>(product1),
                static_cast<unsigned>(product0 >> 32) ^ counter.word[3] ^ key1,
                static_cast<unsigned>(product0)}};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

}  // namespace

extern "C" {

// Each thread: the elements of one counter, of which the first and the last may be of others.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    dropout_factors(DropoutArguments a) {
  const long long block = a.first / 4 + static_cast<long long>(blockIdx.x) * kBlockThreads +
                          static_cast<long long>(threadIdx.x);
  const FourWords numbers = Philox(static_cast<unsigned>(block), a);
  WATTLE_UNROLL
  for (int j = 0; j < 4; ++j) {
    const long long i = block * 4 + j - a.first;
    if (i >= 0 && i < a.count) {
      a.out[i] = numbers.word[j] < a.threshold ? 0.0F : a.scale;
    }
  }
}

}  // extern "C"

}  // namespace wattle::cuda
