// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels by name, compiled by the C++ compiler (host_gpu.h).
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_KERNELS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_KERNELS_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::cuda {

struct HostKernel {
  absl::string_view source;  // "product_int8": the file, without its ending
  absl::string_view name;    // "product_int8_rows4"
  size_t argument_bytes = 0;
  void (*run)(const void* arguments) = nullptr;  // arguments: its struct (kernels/arguments.h)
};

absl::Span<const HostKernel> HostKernels();

// Null: unknown name.
const HostKernel* FindHostKernel(absl::string_view name);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_KERNELS_H_
