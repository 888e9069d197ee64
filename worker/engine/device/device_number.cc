// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/device_number.h"

#include <utility>

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "worker/engine/torch_operators.h"

namespace wattle::engine {

DeviceNumber::DeviceNumber(const at::Tensor& number) {
  if (number.device().is_cpu()) {
    value_ = number.item<double>();
  } else {
    pending_ = number.to(at::kDouble);
  }
}

DeviceNumber& DeviceNumber::operator+=(const DeviceNumber& other) {
  value_ += other.value_;
  if (other.pending_.defined()) {
    pending_ = pending_.defined() ? pending_ + other.pending_ : other.pending_;
  }
  return *this;
}

double DeviceNumber::Read() const {
  return ReadAll({*this}).front();
}

at::Tensor DeviceNumber::Stacked(const std::vector<DeviceNumber>& numbers) {
  std::vector<at::Tensor> pending;
  for (const DeviceNumber& number : numbers) {
    if (number.pending_.defined()) {
      pending.push_back(number.pending_);
    }
  }
  return pending.empty() ? at::Tensor() : at::stack(pending);
}

std::vector<double> DeviceNumber::ReadFrom(const at::Tensor& stacked,
                                           const std::vector<DeviceNumber>& numbers) {
  const at::Tensor read = stacked.defined() ? stacked.cpu() : stacked;
  std::vector<double> values;
  int64_t next = 0;
  for (const DeviceNumber& number : numbers) {
    values.push_back(number.value_ +
                     (number.pending_.defined() ? read.data_ptr<double>()[next++] : 0.0));
  }
  return values;
}

std::vector<double> DeviceNumber::ReadAll(const std::vector<DeviceNumber>& numbers) {
  return ReadFrom(Stacked(numbers), numbers);
}

LateNumbers::LateNumbers(std::vector<DeviceNumber> numbers)
    : numbers_(std::move(numbers)), stacked_(DeviceNumber::Stacked(numbers_)) {
  if (stacked_.defined()) {
    const at::Device device = stacked_.device();
    computed_ = std::make_shared<c10::Event>(device.type());
    computed_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }
}

std::vector<double> LateNumbers::Read() const {
  if (computed_ == nullptr) {
    return DeviceNumber::ReadFrom(stacked_, numbers_);
  }
  // A separate stream, so that the copy waits only for the numbers.
  const at::Device device = stacked_.device();
  const c10::Stream beside =
      c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  computed_->block(beside);
  const c10::StreamGuard guard(beside);
  return DeviceNumber::ReadFrom(stacked_, numbers_);
}

}  // namespace wattle::engine
