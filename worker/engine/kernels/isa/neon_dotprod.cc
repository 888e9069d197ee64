// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for ARM processors with the dot product (Cortex-A76, A78).
#include "worker/engine/kernels/isa/lanes_neon.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {

const KernelTable& NeonDotprodKernels() {
  static constexpr KernelTable kTable = TableOverLanes("neon-dotprod");
  return kTable;
}

}  // namespace wattle::kernels
