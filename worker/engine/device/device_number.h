// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A number that a device may still be computing while the host goes on. Whoever reads it waits for
// the device, so it is read as late as can be, and what is wanted at one time is read together. Of
// the host it is a plain double. Not thread-safe.
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
  // number: without dimensions. One of the host is read here.
  explicit DeviceNumber(const at::Tensor& number);

  DeviceNumber& operator+=(const DeviceNumber& other);

  // Waits for the device.
  [[nodiscard]] double Read() const;
  // Waits for the device once.
  [[nodiscard]] static std::vector<double> ReadAll(const std::vector<DeviceNumber>& numbers);
  // A number of a device, for operators there: double, without dimensions.
  [[nodiscard]] at::Tensor OnDevice() const { return pending_.add(value_); }

 private:
  friend class LateNumbers;

  // Those that a device has; undefined: none.
  static at::Tensor Stacked(const std::vector<DeviceNumber>& numbers);
  // Waits for `stacked`.
  static std::vector<double> ReadFrom(const at::Tensor& stacked,
                                      const std::vector<DeviceNumber>& numbers);

  double value_ = 0.0;
  at::Tensor pending_;  // double, to be added; undefined: nothing
};

// Numbers that are read later, when the device has been given further work. Who reads them waits
// for what was asked of the device before this object was made, and not for the further work.
class LateNumbers {
 public:
  explicit LateNumbers(std::vector<DeviceNumber> numbers);

  [[nodiscard]] std::vector<double> Read() const;

 private:
  std::vector<DeviceNumber> numbers_;
  at::Tensor stacked_;                    // as DeviceNumber::Stacked
  std::shared_ptr<c10::Event> computed_;  // null: stacked_ is undefined
};

// What the host has just made, on the device; on the host x itself. The host does not wait.
[[nodiscard]] inline at::Tensor Upload(const at::Tensor& x, at::Device device) {
  return x.to(device, /*non_blocking=*/true);
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DEVICE_NUMBER_H_
