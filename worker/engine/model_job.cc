// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/model_job.h"

#include <dlfcn.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include "worker/engine/threads.h"
#include "worker/engine/torch_border.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {
namespace {

std::atomic<int> kernel_threads = 1;

}  // namespace

kernels::ThreadPool& KernelThreads() {
  // Never destroyed, because its threads may outlive main().
  static auto& pool = *new kernels::ThreadPool(kernel_threads);
  return pool;
}

absl::Status SetThreads(int threads) {
  if (threads < 1) {
    return absl::InvalidArgumentError(absl::StrCat("threads: ", threads, "; wants at least 1"));
  }
  return AtTorchBorder("threads", [&] {
    kernel_threads = threads;
    at::set_num_threads(threads);
    // libtorch sets the number of its own threads, but not that of a linked OpenBLAS, which starts
    // one per core.
    using SetNumThreads = void (*)(int);
    const auto set_blas_threads =
        reinterpret_cast<SetNumThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
    if (set_blas_threads != nullptr) {
      set_blas_threads(threads);
    }
    return absl::OkStatus();
  });
}

std::string EngineVersion() {
  return absl::StrCat("wattle-", WATTLE_VERSION, "/libtorch-", kTorchVersion);
}

std::string LibraryConfiguration() {
  using GetConfig = char* (*)();
  const auto blas_config = reinterpret_cast<GetConfig>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
  return absl::StrCat(at::show_config(), blas_config == nullptr ? "" : blas_config());
}

}  // namespace wattle::engine
