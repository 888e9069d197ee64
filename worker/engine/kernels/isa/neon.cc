// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for ARM processors without the dot product (Cortex-A72, A57).
#include "worker/engine/kernels/isa/lanes_neon.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {

const KernelTable& NeonKernels() {
  static constexpr KernelTable kTable = TableOverLanes("neon");
  return kTable;
}

}  // namespace wattle::kernels
