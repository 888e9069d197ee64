// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The files of kernels/ as they stood when this program was built. CMake writes the table.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_SOURCES_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_SOURCES_H_

#include "absl/types/span.h"

namespace wattle::cuda {

struct KernelFile {
  const char* name;  // "product_int8.cu"
  const char* text;
};

// What NVRTC compiles, each to one module …
absl::Span<const KernelFile> KernelSources();
// … and what these include.
absl::Span<const KernelFile> KernelHeaders();

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_SOURCES_H_
