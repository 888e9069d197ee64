// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NVRTC, NVIDIA's compiler as a library, found by dlopen. Every CUDA toolkit and PyTorch's wheels
// include it. docs/adr/0047-nvrtc-and-the-driver-api.md has the reasons. One thread.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_COMPILER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_COMPILER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "worker/engine/device/cuda/driver.h"
#include "worker/engine/device/cuda/kernel_sources.h"

namespace wattle::cuda {

// NVRTC's file names in toolkits and wheels, the newest first.
absl::Span<const char* const> NvrtcLibraries();

class KernelCompiler {
 public:
  // Opens the first of the libraries that exists. kNotFound names the remedy; kFailedPrecondition:
  // older than CUDA 11, whose C++17 the kernels need.
  static absl::StatusOr<std::unique_ptr<KernelCompiler>> Open(
      absl::Span<const char* const> libraries = NvrtcLibraries());
  ~KernelCompiler();
  KernelCompiler(const KernelCompiler&) = delete;
  KernelCompiler& operator=(const KernelCompiler&) = delete;

  // Identifies everything but the source that affects Compile, as part of a compiled kernel's name:
  // "nvrtc 12.9 …".
  [[nodiscard]] std::string Identity() const;

  // Machine code for the GPU, or PTX if this NVRTC makes no machine code. kUnimplemented, in one
  // line: NVRTC does not support the architecture, or cannot compile the source.
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
