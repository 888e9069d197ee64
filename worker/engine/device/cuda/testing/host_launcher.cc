// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/testing/host_launcher.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "worker/engine/device/cuda/testing/host_gpu.h"
#include "worker/engine/device/cuda/testing/host_kernels.h"

namespace wattle::cuda {

absl::Status HostLauncher::Launch(const KernelLaunch& launch) {
  if (recording_ == nullptr) {
    ++starts_;
    return Carry(launch, {});
  }
  const HostKernel* kernel = FindHostKernel(launch.kernel);
  WATTLE_CHECK(kernel != nullptr, "launches name kernels");
  const auto* const arguments = static_cast<const std::byte*>(launch.arguments);
  recording_->push_back({launch, {arguments, arguments + kernel->argument_bytes}});
  return absl::OkStatus();
}

class HostLauncher::Recorded final : public LaunchGraph {
 public:
  Recorded(std::vector<Kept> launches, HostLauncher& launcher)
      : launches_(std::move(launches)), launcher_(launcher) {}
  absl::Status Launch() override {
    ++launcher_.starts_;
    for (Kept& kept : launches_) {
      kept.launch.arguments = kept.arguments.data();
      WATTLE_RETURN_IF_ERROR(launcher_.Carry(kept.launch, launcher_.late_));
    }
    return absl::OkStatus();
  }

 private:
  std::vector<Kept> launches_;
  HostLauncher& launcher_;
};

absl::StatusOr<std::unique_ptr<LaunchGraph>> HostLauncher::Record(
    absl::FunctionRef<absl::Status()> body) {
  std::vector<Kept> launches;
  recording_ = &launches;
  const absl::Status recorded = body();
  recording_ = nullptr;
  WATTLE_RETURN_IF_ERROR(recorded);
  return std::make_unique<Recorded>(std::move(launches), *this);
}

absl::Status HostLauncher::Carry(const KernelLaunch& launch, absl::Span<std::byte> late) {
  const HostKernel* kernel = FindHostKernel(launch.kernel);
  WATTLE_CHECK(kernel != nullptr && kernel->source == launch.source, "launches name kernels");
  WATTLE_ASSIGN_OR_RETURN(
      const LaunchCounts counts,
      RunOnHost(
          {.blocks = launch.blocks, .threads = launch.threads},
          seed_ + static_cast<uint64_t>(launches_), [&] { kernel->run(launch.arguments); }, late));
  ++launches_;
  weight_bytes_ += counts.weight_bytes;
  return absl::OkStatus();
}

absl::Status HostLauncher::Prepare(const std::string& source) {
  const absl::Span<const HostKernel> kernels = HostKernels();
  WATTLE_CHECK(std::any_of(kernels.begin(), kernels.end(),
                           [&](const HostKernel& kernel) { return kernel.source == source; }),
               "files of kernels/ are prepared");
  return absl::OkStatus();
}

absl::Status HostLauncher::Upload(void* to, const void* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
  uploaded_bytes_ += bytes;
  return absl::OkStatus();
}

absl::Status HostLauncher::Copy(void* to, const void* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
  return absl::OkStatus();
}

absl::Status HostLauncher::Download(void* to, const void* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
  downloaded_bytes_ += bytes;
  ++waits_;
  return absl::OkStatus();
}

}  // namespace wattle::cuda
