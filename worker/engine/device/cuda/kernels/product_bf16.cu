// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "two_byte_floats.cuh"

namespace wattle::cuda {
namespace {

// BF16, the upper half of a float.
struct Bf16 {
  static __device__ float Value(unsigned bits) { return __uint_as_float(bits << 16); }
};

}  // namespace

WATTLE_ROW_PRODUCTS(bf16, TwoByteFloats<Bf16>)

}  // namespace wattle::cuda
