// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of rounded factors in plain C++: the reference for every other table.
#include "worker/engine/kernels/isa/lanes_portable.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/float_inl.h"

namespace wattle::kernels {

const FloatKernels& PortableFloatKernels() {
  static constexpr FloatKernels kTable = {
      .name = "portable", .float32 = {}, .bf16 = kBf16AsFloat, .fp16 = kFp16AsFloat};
  return kTable;
}

}  // namespace wattle::kernels
