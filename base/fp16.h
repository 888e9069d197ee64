// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Numbers of 16 bits in software: for files, for packing and for processors without the
// instruction. The functions of IEEE 754's half precision agree with the processors' own
// conversions bit by bit (fp16_test.cc tries every half), except that they keep no payload of a
// NaN.
#ifndef WATTLE_BASE_FP16_H_
#define WATTLE_BASE_FP16_H_

#include <cstdint>

namespace wattle {

// Rounds to the nearest half, ties to even; too large becomes infinite.
[[nodiscard]] uint16_t Fp16FromFloat(float value);

[[nodiscard]] float FloatFromFp16(uint16_t half);

// bits: the BF16 number, which is the upper half of a float. Exact.
[[nodiscard]] float FloatFromBf16(uint16_t bits);

}  // namespace wattle

#endif  // WATTLE_BASE_FP16_H_
