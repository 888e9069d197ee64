// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The counter-based generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A number is a pure function of (seed, step, site, element), so that an exact
// resume needs only saved counters, and any split of the work over threads, and every architecture,
// draws the same bits. Stateless; thread-safe.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_RANDOM_H_
#define WATTLE_WORKER_ENGINE_KERNELS_RANDOM_H_

#include <array>
#include <cstdint>

#include "worker/engine/kernels/instruction_set.h"

namespace wattle::kernels {

// The purpose of a number. The values are not stored, but changing one changes the bits of every
// later run.
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

// The stream in the form that the kernels take.
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

// Inverted dropout in place: values[i] becomes 0 if the bits of element `first_element + i` are
// below rate * 2^32, else it is scaled by 1 / (1 - rate). With the same stream a gradient gets the
// same mask, which is therefore never stored. rate in [0, 1).
void ApplyDropout(const RandomStream& stream, double rate, int64_t first_element, int64_t count,
                  float* values, const KernelTable& kernels = BestKernels());

// Moves values[i] by `magnitude`: up if the bit of element `first_element + i` is set, else down.
// Element e has bit e % 32 of the stream's number e / 32, so one Philox block serves 128 elements.
// Elements are below 2^39. A move rounds once, and no operation can be reordered or fused, so the
// result is the same on every processor. Thread-safe on disjoint ranges.
void AddRandomSigns(const RandomStream& stream, float magnitude, int64_t first_element,
                    int64_t count, float* values, const KernelTable& kernels = BestKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_RANDOM_H_
