// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The functions of NVIDIA's driver that launch kernels, found by dlopen, so that nothing of CUDA is
// needed to build. The context is the device's primary one, which libtorch uses too. One thread.
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

// Handles of the driver's.
using Module = void*;
using Function = void*;
using Stream = void*;

// When a kernel of a graph begins. kEarly: while the one before it ends, for which every kernel
// waits itself (AwaitKernelBefore in kernels/gpu.cuh).
enum class Beginning : uint8_t { kInTurn, kEarly };

// Launches that are made ready once and started together. Owns the driver's graph.
class DriverGraph {
 public:
  virtual ~DriverGraph() = default;
  // One more, after those before.
  virtual absl::Status Add(Function function, const KernelLaunch& launch) = 0;
  // No launch is added from now on.
  virtual absl::Status Finish() = 0;
  // Queues all on the stream. kInternal: as of Driver::Launch.
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

  // The newest CUDA that it serves: 12040 is 12.4.
  [[nodiscard]] int version() const { return version_; }
  [[nodiscard]] Architecture architecture() const { return architecture_; }

  // binary: what NVRTC made for the architecture. kFailedPrecondition where this driver is older
  // than what NVRTC made.
  absl::StatusOr<Module> Load(const std::string& binary);
  absl::StatusOr<Function> Find(Module module, const std::string& kernel);
  // Queues the kernel on the stream; null: the default one.
  // kInternal: the GPU fails or is lost, and no result of it can be trusted; kResourceExhausted.
  absl::Status Launch(Function function, const KernelLaunch& launch, Stream stream);
  // Whether a graph's kernels can begin early: from compute capability 9.0 and CUDA 12.3 on.
  [[nodiscard]] bool has_early_beginning() const;
  // kUnimplemented: this driver is older than CUDA 11.4. The driver outlives the graph.
  absl::StatusOr<std::unique_ptr<DriverGraph>> NewGraph(Beginning beginning);
  // As KernelLauncher has them; of a stream.
  absl::Status Upload(void* to, const void* from, int64_t bytes, Stream stream);
  absl::Status Copy(void* to, const void* from, int64_t bytes, Stream stream);
  absl::Status Download(void* to, const void* from, int64_t bytes, Stream stream);

 private:
  struct Functions;
  class Graph;

  Driver();
  absl::Status FindFunctions(const std::string& library);
  absl::Status Start(int device);
  // OK, or what the driver's number means. kResourceExhausted: it has no memory left; kInternal:
  // all else, after which no result can be trusted.
  absl::Status Checked(int result, const std::string& what) const;

  std::unique_ptr<Functions> functions_;
  int version_ = 0;
  Architecture architecture_;
};

// "12.4" of 12040.
[[nodiscard]] std::string CudaVersionName(int version);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_DRIVER_H_
