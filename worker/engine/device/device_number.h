// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A number that a device may still be computing while the host goes on. Whoever reads it waits for
// the device, so it is read as late as can be, and what is wanted at one time is read together. Of
// the host it is a plain double. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NUMBER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NUMBER_H_

#include <vector>

#include <ATen/core/Tensor.h>

namespace wattle::engine {

class DeviceNumber {
 public:
  DeviceNumber() = default;
  explicit DeviceNumber(double value) : value_(value) {}
  // number: without dimensions. One of the host is read here.
  explicit DeviceNumber(const at::Tensor& number);

  DeviceNumber& operator+=(const DeviceNumber& other);

  // Waits for the device.
  [[nodiscard]] double Read() const;
  // Waits for the device once.
  [[nodiscard]] static std::vector<double> ReadAll(const std::vector<DeviceNumber>& numbers);

 private:
  double value_ = 0.0;
  at::Tensor pending_;  // double, to be added; undefined: nothing
};

// What the host has just made, on the device; on the host x itself. The host does not wait.
[[nodiscard]] inline at::Tensor Upload(const at::Tensor& x, at::Device device) {
  return x.to(device, /*non_blocking=*/true);
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NUMBER_H_
