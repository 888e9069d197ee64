// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/device_name.h"

#include <cstdlib>
#include <exception>
#include <optional>

#include "absl/strings/str_cat.h"
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "base/status_macros.h"
#include "worker/engine/device/libtorch_cuda.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {
namespace {

std::optional<at::Device> Parsed(const std::string& name) {
  try {
    return at::Device(name.empty() ? "cpu" : name);
  } catch (const std::exception&) {  // libtorch's only way to report an unknown name
    return std::nullopt;
  }
}

VisibleDevices VisibleOf(c10::DeviceType type) {
  VisibleDevices visible;
  visible.libtorch_serves = c10::impl::hasDeviceGuardImpl(type);
  if (visible.libtorch_serves) {
    // NOLINTNEXTLINE(bugprone-signed-char-misuse): a DeviceIndex is no character
    visible.count = c10::impl::getDeviceGuardImpl(type)->deviceCount();
  }
  return visible;
}

}  // namespace

absl::StatusOr<at::Device> DeviceNamed(const std::string& name) {
  const std::optional<at::Device> device = Parsed(name);
  if (!device.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("device \"", name, "\": no such device; use \"cpu\", \"cuda\" or \"cuda:1\""));
  }
  if (device->is_cuda()) {
    WATTLE_RETURN_IF_ERROR(LoadCudaOfLibtorch());
  }
  if (!device->is_cpu()) {
    const char* const visible =
        std::getenv("CUDA_VISIBLE_DEVICES");  // NOLINT(concurrency-mt-unsafe)
    WATTLE_RETURN_IF_ERROR(CheckVisible(name, *device, VisibleOf(device->type()), visible));
  }
  return *device;
}

absl::Status CheckVisible(const std::string& name, at::Device device, const VisibleDevices& visible,
                          const char* cuda_visible_devices) {
  if (!visible.libtorch_serves) {
    return absl::UnavailableError(
        absl::StrCat("libtorch ", kTorchVersion, " finds no device \"", name,
                     "\"; build wattle-runner with a libtorch that has CUDA, or use \"cpu\""));
  }
  if (visible.count == 0) {
    return absl::UnavailableError(
        absl::StrCat("device \"", name, "\": no GPU is visible",
                     cuda_visible_devices == nullptr
                         ? "; see with nvidia-smi (on a Jetson tegrastats) whether the driver "
                           "runs, and is not older than libtorch's CUDA, or use \"cpu\""
                         : absl::StrCat(" with CUDA_VISIBLE_DEVICES=\"", cuda_visible_devices,
                                        "\"; unset the variable, or use \"cpu\"")));
  }
  if (device.has_index() && device.index() >= visible.count) {
    return absl::UnavailableError(absl::StrCat("device \"", name, "\": only ", visible.count,
                                               visible.count == 1 ? " is" : " are",
                                               " visible; use an index below ", visible.count));
  }
  return absl::OkStatus();
}

}  // namespace wattle::engine
