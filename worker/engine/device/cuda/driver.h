// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The functions of NVIDIA's driver that launch kernels, found by dlopen, so that the build needs
// nothing of CUDA. The context is the device's primary one, which libtorch uses too. One thread.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_DRIVER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_DRIVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "worker/engine/device/cuda/kernel_launch.h"

namespace wattle::cuda {

// 8.7: {8, 7}, "sm_87".
struct Architecture {
  int major = 0;
  int minor = 0;
};

// Handles of the driver.
using Module = void*;
using Function = void*;
using Stream = void*;

// When a kernel of a graph begins. kEarly: while the preceding kernel ends; every kernel then waits
// for that itself (AwaitKernelBefore in kernels/gpu.cuh).
enum class Beginning : uint8_t { kInTurn, kEarly };

// Launches that are prepared once and started together. Owns the driver's graph.
class DriverGraph {
 public:
  virtual ~DriverGraph() = default;
  // Appends a launch.
  virtual absl::Status Add(Function function, const KernelLaunch& launch) = 0;
  // Completes the graph; no launch can be added after it.
  virtual absl::Status Finish() = 0;
  // Queues all launches on the stream. kInternal: see Driver::Launch.
  virtual absl::Status Launch(Stream stream) = 0;
};

class Driver {
 public:
  // The driver with its context on GPU `device` made current for this thread.
  // Errors, each with its remedy: kUnavailable (no driver, no such GPU), kFailedPrecondition (a
  // driver without one of the functions).
  static absl::StatusOr<std::unique_ptr<Driver>> Open(int device,
                                                      const std::string& library = "libcuda.so.1");
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // The newest CUDA version that the driver supports: 12040 is 12.4.
  [[nodiscard]] int version() const { return version_; }
  [[nodiscard]] Architecture architecture() const { return architecture_; }

  // binary: NVRTC's output for the architecture. kFailedPrecondition if this driver is older than
  // that NVRTC.
  absl::StatusOr<Module> Load(const std::string& binary);
  absl::StatusOr<Function> Find(Module module, const std::string& kernel);
  // Queues the kernel on the stream; null: the default one.
  // kInternal: the GPU fails or is lost, and all its results are invalid; kResourceExhausted.
  absl::Status Launch(Function function, const KernelLaunch& launch, Stream stream);
  // Whether a graph's kernels can begin early: from compute capability 9.0 and CUDA 12.3 on.
  [[nodiscard]] bool has_early_beginning() const;
  // kUnimplemented: this driver is older than CUDA 11.4. The driver must outlive the graph.
  absl::StatusOr<std::unique_ptr<DriverGraph>> NewGraph(Beginning beginning);
  // KernelLauncher's functions, on a stream.
  absl::Status Upload(void* to, const void* from, int64_t bytes, Stream stream);
  absl::Status Copy(void* to, const void* from, int64_t bytes, Stream stream);
  absl::Status Download(void* to, const void* from, int64_t bytes, Stream stream);

 private:
  struct Functions;
  class Graph;

  Driver();
  absl::Status FindFunctions(const std::string& library);
  absl::Status Start(int device);
  // OK, or the meaning of the driver's result code. kResourceExhausted: out of memory; kInternal:
  // any other error, after which all results are invalid.
  absl::Status Checked(int result, const std::string& what) const;

  std::unique_ptr<Functions> functions_;
  int version_ = 0;
  Architecture architecture_;
};

// "12.4" for 12040.
[[nodiscard]] std::string CudaVersionName(int version);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_DRIVER_H_
