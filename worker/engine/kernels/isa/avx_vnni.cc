// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for x86 processors with AVX-VNNI but without AVX-512 (Alder Lake and later).
#define WATTLE_LANES_AVX_VNNI
#include "worker/engine/kernels/isa/lanes_avx2.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {

const KernelTable& AvxVnniKernels() {
  static constexpr KernelTable kTable = TableOverLanes("avx-vnni");
  return kTable;
}

}  // namespace wattle::kernels
