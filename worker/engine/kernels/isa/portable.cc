// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels in plain C++: the reference for every other table, and the fallback on other
// processors.
#include "worker/engine/kernels/isa/lanes_portable.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {

const KernelTable& PortableKernels() {
  static constexpr KernelTable kTable = TableOverLanes("portable");
  return kTable;
}

}  // namespace wattle::kernels
