// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of rounded factors for ARM processors: rounded, and multiplied in FP32.
#include "worker/engine/kernels/isa/lanes_neon.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/float_inl.h"

namespace wattle::kernels {

const FloatKernels& NeonFloatKernels() {
  static constexpr FloatKernels kTable = {
      .name = "neon", .float32 = {}, .bf16 = kBf16AsFloat, .fp16 = kFp16AsFloat};
  return kTable;
}

}  // namespace wattle::kernels
