// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/host_launcher.h"

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

}  // namespace wattle::cuda
