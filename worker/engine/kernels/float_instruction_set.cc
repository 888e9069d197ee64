// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "worker/engine/kernels/float_matmul.h"
#include "worker/engine/kernels/instruction_set.h"

namespace wattle::kernels {
namespace {

#if defined(__x86_64__)

// Bits of CPUID's leaf 7 (Intel's manual, volume 2A, table 3-17).
bool HasAvx512Bf16() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 5 & 1U) != 0;
}
bool HasAmxBf16() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 22 & 1U) != 0;
}

// The checks of registers, matrix unit and the system's permission in instruction_set.h's tables
// apply here, too.
std::vector<const FloatKernels*> Look() {
  std::vector<const FloatKernels*> tables = {&PortableFloatKernels()};
  if (FindKernels("avx2") != nullptr) {
    tables.push_back(&Avx2FloatKernels());
  }
  if (FindKernels("avx512-vnni") == nullptr) {
    return tables;
  }
  tables.push_back(&Avx512FloatKernels());
  if (HasAvx512Bf16()) {
    tables.push_back(&Avx512Bf16FloatKernels());
    if (FindKernels("amx") != nullptr && HasAmxBf16()) {
      tables.push_back(&AmxFloatKernels());
    }
  }
  return tables;
}

#elif defined(__aarch64__)

std::vector<const FloatKernels*> Look() {
  return {&PortableFloatKernels(), &NeonFloatKernels()};
}

#else

std::vector<const FloatKernels*> Look() {
  return {&PortableFloatKernels()};
}

#endif

}  // namespace

absl::Span<const FloatKernels* const> SupportedFloatKernels() {
  static const auto* const kTables = new std::vector<const FloatKernels*>(Look());
  return *kTables;
}

const FloatKernels& BestFloatKernels() {
  return *SupportedFloatKernels().back();
}

}  // namespace wattle::kernels
