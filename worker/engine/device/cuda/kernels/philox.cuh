// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The random numbers of dropout and of stochastically rounded weights: Philox4x32-10
// (kernels/random.h).
#pragma once

#include "gpu.cuh"

namespace wattle::cuda {

constexpr unsigned kMultiplier0 = 0xD2511F53U;
constexpr unsigned kMultiplier1 = 0xCD9E8D57U;
constexpr unsigned kWeyl0 = 0x9E3779B9U;
constexpr unsigned kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;

// Elements per counter.
constexpr int kElementsOfCounter = 4;

struct FourNumbers {
  unsigned of[kElementsOfCounter];
};

struct FourFactors {
  float of[kElementsOfCounter];
};

// The numbers of elements [4 block, 4 block + 4).
__device__ inline FourNumbers NumbersOfBlock(unsigned block, const RandomWords& stream) {
  FourNumbers counter = {{block, stream.words[0], stream.words[1], stream.words[2]}};
  unsigned key0 = stream.key[0];
  unsigned key1 = stream.key[1];
  WATTLE_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const unsigned long long product0 =
        static_cast<unsigned long long>(kMultiplier0) * counter.of[0];
    const unsigned long long product1 =
        static_cast<unsigned long long>(kMultiplier1) * counter.of[2];
    counter.of[0] = static_cast<unsigned>(product1 >> 32) ^ counter.of[1] ^ key0;
    counter.of[1] = static_cast<unsigned>(product1);
    counter.of[2] = static_cast<unsigned>(product0 >> 32) ^ counter.of[3] ^ key1;
    counter.of[3] = static_cast<unsigned>(product0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

// The dropout factors of elements [4 block, 4 block + 4). A mask that keeps all elements draws
// nothing.
__device__ inline FourFactors FactorsOf(unsigned block, const DropoutMask& mask) {
  if (mask.threshold == 0) {
    return {{mask.scale, mask.scale, mask.scale, mask.scale}};
  }
  const FourNumbers numbers = NumbersOfBlock(block, mask.stream);
  FourFactors factors;
  WATTLE_UNROLL
  for (int i = 0; i < kElementsOfCounter; ++i) {
    factors.of[i] = numbers.of[i] < mask.threshold ? 0.0F : mask.scale;
  }
  return factors;
}

}  // namespace wattle::cuda
