// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Launches and copies on the host (host_gpu.h), counted.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_LAUNCHER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_LAUNCHER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "worker/engine/device/cuda/kernel_launch.h"

namespace wattle::cuda {

class HostLauncher final : public KernelLauncher {
 public:
  // seed: for the order of threads.
  explicit HostLauncher(uint64_t seed) : seed_(seed) {}

  // Memory that the kernels of graphs write, except copies from the host: its contents come late
  // (RunOnHost).
  void set_late(absl::Span<std::byte> memory) { late_ = memory; }

  absl::Status Launch(const KernelLaunch& launch) override;
  absl::StatusOr<std::unique_ptr<LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> body) override;
  absl::Status Prepare(const std::string& source) override;
  absl::Status Upload(void* to, const void* from, int64_t bytes) override;
  absl::Status Copy(void* to, const void* from, int64_t bytes) override;
  absl::Status Download(void* to, const void* from, int64_t bytes) override;

  // Number of kernels run, and of starts by the host: a graph is one.
  [[nodiscard]] int64_t launches() const { return launches_; }
  [[nodiscard]] int64_t starts() const { return starts_; }
  // LaunchCounts over all launches.
  [[nodiscard]] int64_t weight_bytes() const { return weight_bytes_; }
  // Bytes to and from the device, and number of waits of the host.
  [[nodiscard]] int64_t uploaded_bytes() const { return uploaded_bytes_; }
  [[nodiscard]] int64_t downloaded_bytes() const { return downloaded_bytes_; }
  [[nodiscard]] int64_t waits() const { return waits_; }

 private:
  // A launch with its arguments.
  struct Kept {
    KernelLaunch launch;
    std::vector<std::byte> arguments;
  };
  class Recorded;

  absl::Status Carry(const KernelLaunch& launch, absl::Span<std::byte> late);

  uint64_t seed_;
  absl::Span<std::byte> late_;
  std::vector<Kept>* recording_ = nullptr;  // not null while Record runs its body
  int64_t launches_ = 0;
  int64_t starts_ = 0;
  int64_t weight_bytes_ = 0;
  int64_t uploaded_bytes_ = 0;
  int64_t downloaded_bytes_ = 0;
  int64_t waits_ = 0;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_HOST_LAUNCHER_H_
