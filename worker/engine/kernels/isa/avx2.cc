// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for x86 processors with AVX2, FMA and F16C (2013 and later).
#include "worker/engine/kernels/isa/lanes_avx2.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {

const KernelTable& Avx2Kernels() {
  static constexpr KernelTable kTable = TableOverLanes("avx2");
  return kTable;
}

}  // namespace wattle::kernels
