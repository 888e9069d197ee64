// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/compiled_ahead.h"

#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "worker/engine/device/cuda/kernel_sources.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/model_job.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {

absl::StatusOr<KernelsAhead> CompileKernelsAhead(const std::string& device,
                                                 const std::string& directory) {
  WATTLE_RETURN_IF_ERROR(CheckDevice(device));
  WATTLE_ASSIGN_OR_RETURN(const at::Device gpu, DeviceNamed(device));
  if (OperationsOn(gpu).in_host_memory()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "device \"", device, "\": its kernels are in the program; compile those of \"cuda\""));
  }
  return AtTorchBorder("compile kernels", [&]() -> absl::StatusOr<KernelsAhead> {
    WATTLE_ASSIGN_OR_RETURN(
        const std::unique_ptr<cuda::DriverLauncher> launcher,
        LauncherWithCache(gpu, cuda::KernelCache(directory, cuda::KernelCache::Use::kFindAndKeep)));
    const auto start = std::chrono::steady_clock::now();
    WATTLE_RETURN_IF_ERROR(launcher->PrepareAll());
    return KernelsAhead{
        .files = static_cast<int>(cuda::KernelSources().size()),
        .compiled = launcher->compiled(),
        .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
  });
}

}  // namespace wattle::engine
