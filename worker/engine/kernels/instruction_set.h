// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels that exist once per instruction set, as tables of functions, and the choice among the
// tables at run time. All tables give the same results to the last bit (except FP32 products); the
// portable one is plain C++ and runs everywhere. isa/README.md describes how the tables are built.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_INSTRUCTION_SET_H_
#define WATTLE_WORKER_ENGINE_KERNELS_INSTRUCTION_SET_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "worker/engine/kernels/isa/kernel_table.h"

namespace wattle::kernels {

// An environment variable that names the last table of SupportedKernels(), so that a test runs the
// kernels of a processor that has less.
inline constexpr char kInstructionSetVariable[] = "WATTLE_INSTRUCTION_SET";

// An error where the variable names no table of this processor. A program checks it first.
absl::Status CheckInstructionSet();

// The tables that this processor can run, the portable one first, the best last. Asked for once:
// the first call examines the processor and the environment.
absl::Span<const KernelTable* const> SupportedKernels();

// The last of SupportedKernels().
const KernelTable& BestKernels();

// The table of that name ("portable", "avx2", "avx-vnni", "avx512-vnni", "amx", "neon",
// "neon-dotprod", "neon-i8mm"), or null if this processor or build does not have it. For tests and
// benches.
const KernelTable* FindKernels(absl::string_view name);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_INSTRUCTION_SET_H_
