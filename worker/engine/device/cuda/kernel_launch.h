// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Launches of kernels, and the interface that executes them and the copies between them: the driver
// (driver_launcher.h), or the host in tests and counts (host_launcher.h).
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_LAUNCH_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_LAUNCH_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "worker/engine/device/cuda/kernels/arguments.h"

namespace wattle::cuda {

struct KernelLaunch {
  std::string source;  // "product_int8": the file of kernels/, without its ending
  std::string kernel;  // "product_int8_rows4"
  int blocks = 1;
  int threads = kBlockThreads;
  const void* arguments = nullptr;  // the kernel's struct of kernels/arguments.h
};

// Recorded launches in order, which the device executes as one. Their launcher must outlive them.
class LaunchGraph {
 public:
  virtual ~LaunchGraph() = default;
  virtual absl::Status Launch() = 0;
};

class KernelLauncher {
 public:
  virtual ~KernelLauncher() = default;
  // Launches are executed in order on the device; the host does not wait.
  virtual absl::Status Launch(const KernelLaunch& launch) = 0;
  // Records the launches of `body` instead of executing them. `body` must not copy or wait, and its
  // kernels must call AwaitKernelBefore (kernels/gpu.cuh). kUnimplemented if the device has no
  // graphs, or cannot make one of these launches.
  virtual absl::StatusOr<std::unique_ptr<LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> body) = 0;
  // Makes the kernels of a file of kernels/ ready to launch; an error says why they cannot be.
  virtual absl::Status Prepare(const std::string& source) = 0;
  // Copies bytes from the host to the device after the preceding launches; `from` can be reused at
  // once.
  virtual absl::Status Upload(void* to, const void* from, int64_t bytes) = 0;
  // Copies bytes within the device after the preceding launches; the host does not wait.
  virtual absl::Status Copy(void* to, const void* from, int64_t bytes) = 0;
  // Copies bytes from the device to the host; the host waits until all preceding launches are done.
  virtual absl::Status Download(void* to, const void* from, int64_t bytes) = 0;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_LAUNCH_H_
