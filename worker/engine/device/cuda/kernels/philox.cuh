// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The numbers of dropout: Philox4x32-10 (kernels/random.h).
#pragma once

#include "gpu.cuh"

namespace wattle::cuda {

constexpr unsigned kMultiplier0 = 0xD2511F53U;
constexpr unsigned kMultiplier1 = 0xCD9E8D57U;
constexpr unsigned kWeyl0 = 0x9E3779B9U;
constexpr unsigned kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;

// Elements whose numbers one counter gives.
constexpr int kElementsOfCounter = 4;

struct FourFactors {
  float of[kElementsOfCounter];
};

// What dropout multiplies elements [4 block, 4 block + 4) with. A mask that keeps all draws
// nothing.
__device__ inline FourFactors FactorsOf(unsigned block, const DropoutMask& mask) {
  if (mask.threshold == 0) {
    return {{mask.scale, mask.scale, mask.scale, mask.scale}};
  }
  unsigned counter[4] = {block, mask.words[0], mask.words[1], mask.words[2]};
  unsigned key0 = mask.key[0];
  unsigned key1 = mask.key[1];
  WATTLE_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const unsigned long long product0 = static_cast<unsigned long long>(kMultiplier0) * counter[0];
    const unsigned long long product1 = static_cast<unsigned long long>(kMultiplier1) * counter[2];
    counter[0] = static_cast<unsigned>(product1 >> 32) ^ counter[1] ^ key0;
    counter[1] = static_cast<unsigned>(product1);
    counter[2] = static_cast<unsigned>(product0 >> 32) ^ counter[3] ^ key1;
    counter[3] = static_cast<unsigned>(product0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  FourFactors factors;
  WATTLE_UNROLL
  for (int i = 0; i < kElementsOfCounter; ++i) {
    factors.of[i] = counter[i] < mask.threshold ? 0.0F : mask.scale;
  }
  return factors;
}

}  // namespace wattle::cuda
