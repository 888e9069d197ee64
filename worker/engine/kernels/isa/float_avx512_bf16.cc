// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of rounded factors for x86 processors with AVX-512 and its BF16 products (Zen 4 and
// later). FP16 factors are multiplied in FP32.
#include "worker/engine/kernels/isa/bf16_avx512.h"
#include "worker/engine/kernels/isa/lanes_avx512.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/float_inl.h"

namespace wattle::kernels {

const FloatKernels& Avx512Bf16FloatKernels() {
  static constexpr FloatKernels kTable = {.name = "avx512-bf16",
                                          .float32 = {},
                                          .bf16 = {2, PackBf16Left, PackBf16Right, Bf16Dots, false},
                                          .fp16 = kFp16AsFloat};
  return kTable;
}

}  // namespace wattle::kernels
