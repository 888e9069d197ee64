// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/device_number.h"

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

std::vector<double> DeviceNumber::ReadAll(const std::vector<DeviceNumber>& numbers) {
  std::vector<at::Tensor> pending;
  for (const DeviceNumber& number : numbers) {
    if (number.pending_.defined()) {
      pending.push_back(number.pending_);
    }
  }
  at::Tensor read;
  if (!pending.empty()) {
    read = at::stack(pending).cpu();
  }
  std::vector<double> values;
  int64_t next = 0;
  for (const DeviceNumber& number : numbers) {
    values.push_back(number.value_ +
                     (number.pending_.defined() ? read.data_ptr<double>()[next++] : 0.0));
  }
  return values;
}

}  // namespace wattle::engine
