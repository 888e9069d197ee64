// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One launch of a kernel, and who carries it out: the driver (driver_launcher.h), or the host in
// tests and counts (host_launcher.h).
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_LAUNCH_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_LAUNCH_H_

#include <string>

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernels/arguments.h"

namespace wattle::cuda {

struct KernelLaunch {
  std::string source;  // "product_int8": the file of kernels/, without its ending
  std::string kernel;  // "product_int8_rows4"
  int blocks = 1;
  int threads = kBlockThreads;
  const void* arguments = nullptr;  // the kernel's struct of kernels/arguments.h
};

class KernelLauncher {
 public:
  virtual ~KernelLauncher() = default;
  // Launches follow one another on the device; the host does not wait.
  virtual absl::Status Launch(const KernelLaunch& launch) = 0;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_LAUNCH_H_
