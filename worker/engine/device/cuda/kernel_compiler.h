// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NVRTC, NVIDIA's compiler as a library, found by dlopen: every CUDA toolkit has it, and so have
// PyTorch's wheels. docs/adr/0047-nvrtc-and-the-driver-api.md says why. One thread.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_COMPILER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_COMPILER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "worker/engine/device/cuda/driver.h"
#include "worker/engine/device/cuda/kernel_sources.h"

namespace wattle::cuda {

// The names under which toolkits and wheels have it, the newest first.
absl::Span<const char* const> NvrtcLibraries();

class KernelCompiler {
 public:
  // The first of the libraries that is there. kNotFound names the remedy; kFailedPrecondition: it
  // is older than CUDA 11, whose C++17 the kernels want.
  static absl::StatusOr<std::unique_ptr<KernelCompiler>> Open(
      absl::Span<const char* const> libraries = NvrtcLibraries());
  ~KernelCompiler();
  KernelCompiler(const KernelCompiler&) = delete;
  KernelCompiler& operator=(const KernelCompiler&) = delete;

  // What Compile does beside its source: it is part of a compiled kernel's name. "nvrtc 12.9 …".
  [[nodiscard]] std::string Identity() const;

  // Machine code for the GPU, or PTX where this NVRTC makes no machine code.
  // kUnimplemented, in one line: it does not know the architecture, or compiles no such source.
  absl::StatusOr<std::string> Compile(const KernelFile& source,
                                      absl::Span<const KernelFile> headers,
                                      Architecture architecture);

 private:
  struct Functions;

  KernelCompiler();
  absl::Status FindFunctions(void* library, const std::string& name);
  absl::StatusOr<std::string> Result(void* program) const;

  std::unique_ptr<Functions> functions_;
  int major_ = 0;
  int minor_ = 0;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_COMPILER_H_
