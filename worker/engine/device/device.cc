// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/device.h"

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/device/kernel_device.h"

namespace wattle::engine {

const DeviceOperations& CpuOperations() {
  static const CpuDevice& cpu = *new CpuDevice;
  return cpu;
}

const DeviceOperations& AtenOperations() {
  static const AtenDevice& aten = *new AtenDevice;
  return aten;
}

const DeviceOperations& OperationsOn(at::Device device) {
  static const KernelDevice& nvidia = *new KernelDevice(LauncherByDriver);
  return device.is_cpu() ? CpuOperations() : device.is_cuda() ? nvidia : AtenOperations();
}

}  // namespace wattle::engine
