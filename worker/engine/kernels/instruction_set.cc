// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/check.h"
#include "worker/engine/kernels/isa/kernel_table.h"

namespace wattle::kernels {
namespace {

#if defined(__x86_64__)

// Bits of CPUID's leaf 7 (Intel's manual, volume 2A, table 3-17) that GCC 12's
// __builtin_cpu_supports does not support.
struct Leaf7 {
  bool avx_vnni = false;  // subleaf 1, EAX bit 4
  bool amx_tile = false;  // subleaf 0, EDX bit 24
  bool amx_int8 = false;  // subleaf 0, EDX bit 25
};

Leaf7 ReadLeaf7() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  Leaf7 leaf;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    leaf.amx_tile = (edx >> 24 & 1U) != 0;
    leaf.amx_int8 = (edx >> 25 & 1U) != 0;
  }
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
    leaf.avx_vnni = (eax >> 4 & 1U) != 0;
  }
  return leaf;
}

// Linux grants the matrix unit's 8 KiB of state only on request
// (Documentation/arch/x86/xstate.rst); the permission holds for all threads of the process.
bool KernelGrantsTiles() {
  constexpr int64_t kArchReqXcompPerm = 0x1023;
  constexpr int64_t kTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
}

std::vector<const KernelTable*> Look() {
  std::vector<const KernelTable*> tables = {&PortableKernels()};
  __builtin_cpu_init();
  const Leaf7 leaf = ReadLeaf7();
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0) {
    return tables;
  }
  tables.push_back(&Avx2Kernels());
  if (leaf.avx_vnni) {
    tables.push_back(&AvxVnniKernels());
  }
  if (__builtin_cpu_supports("avx512bw") == 0 || __builtin_cpu_supports("avx512vl") == 0 ||
      __builtin_cpu_supports("avx512dq") == 0 || __builtin_cpu_supports("avx512vnni") == 0) {
    return tables;
  }
  tables.push_back(&Avx512VnniKernels());
  if (leaf.amx_tile && leaf.amx_int8 && KernelGrantsTiles()) {
    tables.push_back(&AmxKernels());
  }
  return tables;
}

#elif defined(__aarch64__)

std::vector<const KernelTable*> Look() {
  std::vector<const KernelTable*> tables = {&PortableKernels(), &NeonKernels()};
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) == 0) {
    return tables;
  }
  tables.push_back(&NeonDotprodKernels());
  if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) {
    tables.push_back(&NeonI8mmKernels());
  }
  return tables;
}

#else

std::vector<const KernelTable*> Look() {
  return {&PortableKernels()};
}

#endif

// The tables up to the one that the environment names.
absl::StatusOr<std::vector<const KernelTable*>> LookAndLimit() {
  std::vector<const KernelTable*> tables = Look();
  const char* const value = std::getenv(kInstructionSetVariable);  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr) {
    return tables;
  }
  const absl::string_view best = value;
  const auto is_best = [best](const KernelTable* table) { return table->name == best; };
  const auto found = std::find_if(tables.begin(), tables.end(), is_best);
  if (found == tables.end()) {
    const auto append_name = [](std::string* out, const KernelTable* table) {
      absl::StrAppend(out, table->name);
    };
    return absl::InvalidArgumentError(
        absl::StrCat(kInstructionSetVariable, "=", best,
                     " in the environment: this processor has no such instruction set; it has ",
                     absl::StrJoin(tables, ", ", append_name)));
  }
  tables.erase(found + 1, tables.end());
  return tables;
}

const absl::StatusOr<std::vector<const KernelTable*>>& Tables() {
  static const auto* const kTables =
      new absl::StatusOr<std::vector<const KernelTable*>>(LookAndLimit());
  return *kTables;
}

}  // namespace

absl::Status CheckInstructionSet() {
  return Tables().status();
}

absl::Span<const KernelTable* const> SupportedKernels() {
  const auto& tables = Tables();
  WATTLE_CHECK(tables.ok(), std::string(tables.status().message()).c_str());
  return *tables;
}

const KernelTable& BestKernels() {
  return *SupportedKernels().back();
}

const KernelTable* FindKernels(absl::string_view name) {
  for (const KernelTable* table : SupportedKernels()) {
    if (table->name == name) {
      return table;
    }
  }
  return nullptr;
}

}  // namespace wattle::kernels
