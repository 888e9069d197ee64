// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "two_byte_floats.cuh"

namespace wattle::cuda {
namespace {

struct Fp16 {
  static __device__ float Value(unsigned bits) { return FloatFromFp16(bits); }
};

}  // namespace

WATTLE_ROW_PRODUCTS(fp16, TwoByteFloats<Fp16>)

}  // namespace wattle::cuda
