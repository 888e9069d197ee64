// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// IEEE 754 half precision in software, for packing and for processors without the instruction.
// Both functions agree with the processors' own conversions bit by bit (half_test.cc tries every
// half), except that they keep no payload of a NaN.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_HALF_H_
#define WATTLE_WORKER_ENGINE_KERNELS_HALF_H_

#include <cstdint>

namespace wattle::kernels {

// Rounds to the nearest half, ties to even; too large becomes infinite.
[[nodiscard]] uint16_t HalfFromFloat(float value);

[[nodiscard]] float FloatFromHalf(uint16_t half);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_HALF_H_
