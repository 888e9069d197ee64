// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The counter-based generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A number is a pure function of (seed, step, site, element), so nothing but
// counters has to be saved for an exact resume, any split of the work over threads draws the same
// bits, and so does every architecture. No state; thread-safe.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_RANDOM_H_
#define WATTLE_WORKER_ENGINE_KERNELS_RANDOM_H_

#include <array>
#include <cstdint>

#include "worker/engine/kernels/instruction_set.h"

namespace wattle::kernels {

// Where in the program a number is drawn. Values are stored nowhere, yet a change of one changes
// every later run's bits.
enum class RandomUse : uint32_t {
  kEmbeddingDropout = 1,
  kAttentionDropout = 2,
  kAttentionOutputDropout = 3,
  kMlpOutputDropout = 4,
  kDataOrder = 5,
  kInitialization = 6,
  kSampling = 7,
  kAdapterDropout = 8,
  kAdapterInitialization = 9,
  kPerturbation = 10,
  kWeightRounding = 11,
};

// One stream of numbers.
struct RandomStream {
  uint64_t seed = 0;
  uint64_t step = 0;  // of training: the micro-batch counter; of weight rounding: the optimizer
                      // step; of data order: the epoch; of sampling: the prompt
  RandomUse use = RandomUse::kDataOrder;
  uint32_t layer = 0;  // below 2^24
};

// The stream as the generator's kernels want it.
PhiloxCounter CounterOf(const RandomStream& stream);

// The raw function: ten rounds on `counter` under `key`. Agrees with the published test vectors.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// out[i] = the number of element `first_element + i`. Elements are below 2^34.
void RandomBits(const RandomStream& stream, int64_t first_element, int64_t count, uint32_t* out,
                const KernelTable& kernels = BestKernels());

// A number in [0, 1) with 24 bits.
float RandomUnit(const RandomStream& stream, int64_t element);

// A number in [0, bound), bound ≥ 1; its bias is below bound / 2^64.
uint64_t RandomBelow(const RandomStream& stream, int64_t element, uint64_t bound);

// out[i] = a normal deviate of mean 0 and deviation `deviation` (Box-Muller).
void RandomNormal(const RandomStream& stream, float deviation, int64_t count, float* out);

// Inverted dropout in place: values[i] is set to 0 where the bits of element `first_element + i`
// are below rate * 2^32, and scaled by 1 / (1 - rate) elsewhere. Called again on a gradient with
// the same stream it applies the same mask, which is therefore never stored. rate in [0, 1).
void ApplyDropout(const RandomStream& stream, double rate, int64_t first_element, int64_t count,
                  float* values, const KernelTable& kernels = BestKernels());

// values[i] moves by `magnitude`: up where the bit of element `first_element + i` is set, else
// down. Element e has bit e % 32 of the stream's number e / 32, so a block of ten rounds serves 128
// elements. Elements are below 2^39. A move rounds once, with nothing to reorder or fuse: the
// result is the same on every processor. Thread-safe on disjoint ranges.
void AddRandomSigns(const RandomStream& stream, float magnitude, int64_t first_element,
                    int64_t count, float* values, const KernelTable& kernels = BestKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_RANDOM_H_
