// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NF4 with double quantization (nf4_double_format.cc): its two tables, for comparison with those
// published by bitsandbytes (pure and thread-safe), and its rounding, some rows at a time.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_NF4_DOUBLE_H_
#define WATTLE_WORKER_ENGINE_KERNELS_NF4_DOUBLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

// The 16 levels of NF4, ascending: quantiles of the normal distribution, including 0 and ±1
// (Dettmers et al., "QLoRA", appendix E). nf4_levels.h has them rounded for integer products.
const std::array<float, 16>& Nf4Values();

// The 256 values of the 8-bit map of the scales, ascending (Dettmers, "8-Bit Approximations for
// Parallelism in Deep Learning", 2016: "dynamic" quantization): ±10^e f with e from -6 to 0, twice
// as many fractions f for each greater e, and 0 and 1. The lowest is -1 rather than -0.993, as in
// bitsandbytes' CPU version, so that the largest magnitude of a block is exact with either sign.
const std::array<float, 256>& DynamicMap();

// Quantizes a matrix whose rows arrive in pieces, in order. The scales of all rows have one mean,
// so each group's magnitude is kept until all have arrived: 4 bytes per group.
class Nf4DoubleQuantizer {
 public:
  // shape: of the matrix.
  explicit Nf4DoubleQuantizer(const WeightMatrix& shape);

  // weights: float [rows, columns], finite; out: their codes, [rows, columns / 2] bytes.
  void Add(const float* weights, int64_t rows, std::byte* out);
  // The buffer of scales, once all rows have arrived. The quantizer must not be used afterwards.
  void Finish(std::byte* out);

 private:
  WeightMatrix shape_;
  std::vector<float> magnitudes_;  // magnitudes of the groups so far
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_NF4_DOUBLE_H_
