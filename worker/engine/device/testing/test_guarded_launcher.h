// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: launches kernels that run on the host, on the memory of the guarded device. With
// SetPrivateUse1Operations the guarded device is then a GPU with the kernels.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_GUARDED_LAUNCHER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_GUARDED_LAUNCHER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/device/cuda_capability.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/device/testing/test_guarded_device.h"

namespace wattle::engine {

// Results of a launcher, and the counts of the one that was made.
struct Gpu {
  absl::Status made;
  absl::Status prepared;
  absl::Status launched;
  int makings = 0;
  bool has_graphs = true;
  std::optional<int64_t> free_bytes;            // if the GPU shares the host's memory, else nullopt
  std::optional<ComputeCapability> capability;  // value at the first product of many rows
  cuda::HostLauncher host{uint64_t{3}};
};

class GuardedGraph final : public cuda::LaunchGraph {
 public:
  GuardedGraph(Gpu& gpu, std::unique_ptr<cuda::LaunchGraph> graph)
      : gpu_(gpu), graph_(std::move(graph)) {}
  absl::Status Launch() override {
    const OpenedGuardedMemory opened;
    return gpu_.launched.ok() ? graph_->Launch() : gpu_.launched;
  }

 private:
  Gpu& gpu_;
  std::unique_ptr<cuda::LaunchGraph> graph_;
};

class GuardedLauncher final : public cuda::KernelLauncher {
 public:
  explicit GuardedLauncher(Gpu& gpu) : gpu_(gpu) {}
  absl::Status Launch(const cuda::KernelLaunch& launch) override {
    const OpenedGuardedMemory opened;
    return gpu_.launched.ok() ? gpu_.host.Launch(launch) : gpu_.launched;
  }
  absl::StatusOr<std::unique_ptr<cuda::LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> body) override {
    if (!gpu_.has_graphs) {
      return absl::UnimplementedError("no graphs");
    }
    auto graph = gpu_.host.Record(body);
    return graph.ok() ? std::make_unique<GuardedGraph>(gpu_, *std::move(graph))
                      : absl::StatusOr<std::unique_ptr<cuda::LaunchGraph>>(graph.status());
  }
  absl::Status Prepare(const std::string& source) override {
    return gpu_.prepared.ok() ? gpu_.host.Prepare(source) : gpu_.prepared;
  }
  absl::Status Upload(void* to, const void* from, int64_t bytes) override {
    const OpenedGuardedMemory opened;
    return gpu_.host.Upload(to, from, bytes);
  }
  absl::Status Copy(void* to, const void* from, int64_t bytes) override {
    const OpenedGuardedMemory opened;
    return gpu_.host.Copy(to, from, bytes);
  }
  absl::Status Download(void* to, const void* from, int64_t bytes) override {
    const OpenedGuardedMemory opened;
    return gpu_.host.Download(to, from, bytes);
  }

 private:
  Gpu& gpu_;
};

// While an object exists, the guarded device has the kernels.
class KernelsOfGuardedDevice {
 public:
  KernelsOfGuardedDevice()
      : device_(
            [this](at::Device) -> absl::StatusOr<std::unique_ptr<cuda::KernelLauncher>> {
              ++gpu.makings;
              if (!gpu.made.ok()) {
                return gpu.made;
              }
              return std::make_unique<GuardedLauncher>(gpu);
            },
            [this](at::Device) { return gpu.free_bytes; },
            [this](at::Device) { return gpu.capability; }) {
    SetPrivateUse1Operations(&device_);
  }
  ~KernelsOfGuardedDevice() { SetPrivateUse1Operations(nullptr); }
  KernelsOfGuardedDevice(const KernelsOfGuardedDevice&) = delete;
  KernelsOfGuardedDevice& operator=(const KernelsOfGuardedDevice&) = delete;

  Gpu gpu;

 private:
  KernelDevice device_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_GUARDED_LAUNCHER_H_
