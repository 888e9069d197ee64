// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tables, each defined in the file of its name. Only those of the target architecture are
// built; instruction_set.cc asks the processor before it uses one.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_TABLES_INTERNAL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_TABLES_INTERNAL_H_

#include "worker/engine/kernels/isa/kernel_table.h"

namespace wattle::kernels {

const KernelTable& PortableKernels();
const KernelTable& Avx2Kernels();
const KernelTable& AvxVnniKernels();
const KernelTable& Avx512VnniKernels();
const KernelTable& AmxKernels();
const KernelTable& NeonKernels();
const KernelTable& NeonDotprodKernels();

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_TABLES_INTERNAL_H_
