// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/testing/test_device.h"

#include <utility>

#include "worker/engine/device/device.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {

at::Device TestDevice() {
  return DeviceNamed(TestDeviceName()).value();
}

at::Tensor OnTestDevice(const at::Tensor& tensor) {
  return tensor.to(TestDevice());
}

MatrixWeights OnTestDevice(MatrixWeights matrix) {
  return OperationsOn(TestDevice()).Stored(std::move(matrix), TestDevice());
}

bool RoundsProducts() {
  return !OperationsOn(TestDevice()).in_host_memory();
}

}  // namespace wattle::engine
