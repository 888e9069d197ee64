// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// BF16 numbers in memory: the upper 16 bits of an FP32 number. Weights that have no FP32 copy are
// rounded stochastically (Gupta et al., "Deep learning with limited numerical precision", 2015): up
// with a probability equal to the relative distance from the lower neighbour, so that the expected
// result is the FP32 number, and updates smaller than a step of BF16 are kept on average. Every
// processor gives the same bits. Stateless; thread-safe.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_BF16_H_
#define WATTLE_WORKER_ENGINE_KERNELS_BF16_H_

#include <cstdint>

#include "worker/engine/kernels/random.h"

namespace wattle::kernels {

// The nearest BF16 number, ties to even; values that are too large become infinite.
[[nodiscard]] uint16_t Bf16FromFloat(float value);

// to[i] = numbers[i], exactly.
void WidenBf16(const uint16_t* numbers, int64_t count, float* to);

// numbers[i] = values[i], rounded down or up by the random bits of element (first_element + i) / 2
// of the stream: two numbers share the 32 bits of one element. A value that is a BF16 number stays
// unchanged. Non-finite values stay non-finite; a finite value above the largest BF16 number may
// become infinite.
void RoundBf16Stochastically(const RandomStream& stream, int64_t first_element, const float* values,
                             int64_t count, uint16_t* numbers);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_BF16_H_
