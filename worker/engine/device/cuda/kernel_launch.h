// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One launch of a kernel, and who carries it out, and the copies between: the driver
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

// Launches in their order, which the device takes as one. Their launcher outlives it.
class LaunchGraph {
 public:
  virtual ~LaunchGraph() = default;
  virtual absl::Status Launch() = 0;
};

class KernelLauncher {
 public:
  virtual ~KernelLauncher() = default;
  // Launches follow one another on the device; the host does not wait.
  virtual absl::Status Launch(const KernelLaunch& launch) = 0;
  // What `body` launches is kept in place of being carried out; it copies nothing and waits for
  // nothing, and every kernel calls AwaitKernelBefore (kernels/gpu.cuh). kUnimplemented where the
  // device has no graphs, or makes none of this.
  virtual absl::StatusOr<std::unique_ptr<LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> body) = 0;
  // The kernels of a file of kernels/ can be launched; an error says why they cannot be.
  virtual absl::Status Prepare(const std::string& source) = 0;
  // Bytes of the host go to the device after the launches before; `from` is free at once.
  virtual absl::Status Upload(void* to, const void* from, int64_t bytes) = 0;
  // Bytes of the device go to another place of it after the launches before; the host does not
  // wait.
  virtual absl::Status Copy(void* to, const void* from, int64_t bytes) = 0;
  // The reverse of Upload; the host waits until all launches before are done.
  virtual absl::Status Download(void* to, const void* from, int64_t bytes) = 0;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_LAUNCH_H_
