// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Devices by their names in jobs, with a one-line remedy for a missing one.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NAME_H_
#define WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NAME_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <c10/core/Device.h>

namespace wattle::engine {

// The devices of one kind that this process can use.
struct VisibleDevices {
  bool libtorch_serves = false;  // this libtorch was built for the kind
  int count = 0;
};

// "cpu" or "", "cuda", "cuda:1". Errors: kInvalidArgument for an unknown name; kUnavailable for a
// missing device.
absl::StatusOr<at::Device> DeviceNamed(const std::string& name);

// Whether `device`, called `name`, is among the visible ones. If none is visible, the error
// includes the text of CUDA_VISIBLE_DEVICES; null: not set. Pure.
absl::Status CheckVisible(const std::string& name, at::Device device, const VisibleDevices& visible,
                          const char* cuda_visible_devices);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NAME_H_
