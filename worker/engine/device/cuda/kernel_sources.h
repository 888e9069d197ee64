// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The files of kernels/ as of this program's build. CMake writes the table.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_SOURCES_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_SOURCES_H_

#include "absl/types/span.h"

namespace wattle::cuda {

struct KernelFile {
  const char* name;  // "product_int8.cu"
  const char* text;
};

// Files that NVRTC compiles, each to one module …
absl::Span<const KernelFile> KernelSources();
// … and the files that they include.
absl::Span<const KernelFile> KernelHeaders();

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_SOURCES_H_
