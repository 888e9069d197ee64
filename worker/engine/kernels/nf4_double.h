// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The two tables of NF4 with double quantization (nf4_double_format.cc), to be compared with those
// that bitsandbytes publishes. Pure; thread-safe.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_NF4_DOUBLE_H_
#define WATTLE_WORKER_ENGINE_KERNELS_NF4_DOUBLE_H_

#include <array>

namespace wattle::kernels {

// The 16 levels of NF4, rising: quantiles of the normal distribution, 0 and ±1 among them (Dettmers
// et al., "QLoRA", appendix E). nf4_levels.h has them rounded for products of whole numbers.
const std::array<float, 16>& Nf4Values();

// The 256 values of the 8-bit map of the scales, rising (Dettmers, "8-Bit Approximations for
// Parallelism in Deep Learning", 2016: "dynamic" quantization): ±10^e f with e from -6 to 0, twice
// as many fractions f for each greater e, and 0 and 1. The lowest is -1 and not -0.993, as
// bitsandbytes has it on the CPU: so the largest magnitude of a block comes back with either sign.
const std::array<float, 256>& DynamicMap();

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_NF4_DOUBLE_H_
