// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Devices by the names that jobs give them, and in one line what to do where there is none.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NAME_H_
#define WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NAME_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <c10/core/Device.h>

namespace wattle::engine {

// What this process sees of one kind of device.
struct VisibleDevices {
  bool libtorch_serves = false;  // this libtorch was built for the kind
  int count = 0;
};

// "cpu" or "", "cuda", "cuda:1". Errors: kInvalidArgument for no such name; kUnavailable for a
// device that is not there.
absl::StatusOr<at::Device> DeviceNamed(const std::string& name);

// Whether `device`, called `name`, is one of those that are visible. The text of
// CUDA_VISIBLE_DEVICES, where it is set, is told where no device is visible; null: it is not set.
// Pure.
absl::Status CheckVisible(const std::string& name, at::Device device, const VisibleDevices& visible,
                          const char* cuda_visible_devices);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NAME_H_
