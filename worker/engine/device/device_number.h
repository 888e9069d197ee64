// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A number that a device may still be computing while the host continues. Reading it waits for the
// device, so read it as late as possible, and read numbers needed at the same time together. On the
// host it is a plain double. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NUMBER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NUMBER_H_

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

namespace wattle::engine {

class DeviceNumber {
 public:
  DeviceNumber() = default;
  explicit DeviceNumber(double value) : value_(value) {}
  // number: without dimensions. A number on the host is read at once.
  explicit DeviceNumber(const at::Tensor& number);

  DeviceNumber& operator+=(const DeviceNumber& other);

  // Waits for the device.
  [[nodiscard]] double Read() const;
  // Waits for the device once.
  [[nodiscard]] static std::vector<double> ReadAll(const std::vector<DeviceNumber>& numbers);
  // The number for operators on its device: double, without dimensions.
  [[nodiscard]] at::Tensor OnDevice() const { return pending_.add(value_); }

 private:
  friend class LateNumbers;

  // The numbers that are on a device; undefined: none.
  static at::Tensor Stacked(const std::vector<DeviceNumber>& numbers);
  // Waits for `stacked`.
  static std::vector<double> ReadFrom(const at::Tensor& stacked,
                                      const std::vector<DeviceNumber>& numbers);

  double value_ = 0.0;
  at::Tensor pending_;  // double, to be added; undefined: nothing
};

// Numbers that are read later, after further work was queued on the device. Reading waits for the
// work queued before this object was made, and not for the further work.
class LateNumbers {
 public:
  explicit LateNumbers(std::vector<DeviceNumber> numbers);

  [[nodiscard]] std::vector<double> Read() const;

 private:
  std::vector<DeviceNumber> numbers_;
  at::Tensor stacked_;                    // DeviceNumber::Stacked
  std::shared_ptr<c10::Event> computed_;  // null: stacked_ is undefined
};

// Copies a new tensor of the host to the device; on the host returns x itself. The host does not
// wait.
[[nodiscard]] inline at::Tensor Upload(const at::Tensor& x, at::Device device) {
  return x.to(device, /*non_blocking=*/true);
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NUMBER_H_
