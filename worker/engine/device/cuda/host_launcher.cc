// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/host_launcher.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/status_macros.h"
#include "worker/engine/device/cuda/host_gpu.h"
#include "worker/engine/device/cuda/host_kernels.h"

namespace wattle::cuda {

absl::Status HostLauncher::Launch(const KernelLaunch& launch) {
  const HostKernel* kernel = FindHostKernel(launch.kernel);
  WATTLE_CHECK(kernel != nullptr && kernel->source == launch.source, "launches name kernels");
  WATTLE_ASSIGN_OR_RETURN(
      const LaunchCounts counts,
      RunOnHost({.blocks = launch.blocks, .threads = launch.threads},
                seed_ + static_cast<uint64_t>(launches_), [&] { kernel->run(launch.arguments); }));
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

absl::Status HostLauncher::Download(void* to, const void* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
  downloaded_bytes_ += bytes;
  ++waits_;
  return absl::OkStatus();
}

}  // namespace wattle::cuda
