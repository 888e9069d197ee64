// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for x86 processors with AVX-512 and its VNNI (Ice Lake, Zen 4 and later).
#include "worker/engine/kernels/isa/lanes_avx512.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {

const KernelTable& Avx512VnniKernels() {
  static constexpr KernelTable kTable = TableOverLanes("avx512-vnni");
  return kTable;
}

}  // namespace wattle::kernels
