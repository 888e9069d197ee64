// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/environment.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace wattle::sandbox {
namespace {

constexpr absl::string_view kNames[] = {"PATH",           "HOME",         "LANG",
                                        "LANGUAGE",       "TZ",           "LD_LIBRARY_PATH",
                                        "GLIBC_TUNABLES", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                        "TSAN_OPTIONS",   "LSAN_OPTIONS", "WATTLE_INSTRUCTION_SET"};
// WATTLE_CRASH_: of the tests that kill a runner at a place (base/crash_point.h).
constexpr absl::string_view kPrefixes[] = {
    "LC_",   "OPENBLAS_", "MKL_",  "DNNL_",   "ONEDNN_", "ATEN_",   "TORCH_",  "PYTORCH_",
    "GOMP_", "KMP_",      "CUDA_", "CUBLAS_", "CUDNN_",  "NVIDIA_", "MALLOC_", "WATTLE_CRASH_"};
// This variable would select slower kernels.
constexpr absl::string_view kRefused = "OPENBLAS_CORETYPE";

bool IsAllowed(absl::string_view name) {
  if (name == kRefused) {
    return false;
  }
  for (const absl::string_view allowed : kNames) {
    if (name == allowed) {
      return true;
    }
  }
  for (const absl::string_view prefix : kPrefixes) {
    if (absl::StartsWith(name, prefix)) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> CleanEnvironment(const char* const* variables) {
  std::vector<std::string> clean;
  for (; *variables != nullptr; ++variables) {
    const absl::string_view variable(*variables);
    if (IsAllowed(variable.substr(0, variable.find('=')))) {
      clean.emplace_back(variable);
    }
  }
  return clean;
}

}  // namespace wattle::sandbox
