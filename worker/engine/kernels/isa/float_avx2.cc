// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of rounded factors for x86 processors with AVX2: rounded, and multiplied in FP32.
#include "worker/engine/kernels/isa/lanes_avx2.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/float_inl.h"

namespace wattle::kernels {

const FloatKernels& Avx2FloatKernels() {
  static constexpr FloatKernels kTable = {
      .name = "avx2", .float32 = {}, .bf16 = kBf16AsFloat, .fp16 = kFp16AsFloat};
  return kTable;
}

}  // namespace wattle::kernels
