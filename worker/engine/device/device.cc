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

namespace {
const DeviceOperations* private_use1 = nullptr;
}  // namespace

void SetPrivateUse1Operations(const DeviceOperations* operations) {
  private_use1 = operations;
}

const DeviceOperations& OperationsOn(at::Device device) {
  static const KernelDevice& nvidia = *new KernelDevice(LauncherByDriver, FreeSharedMemory);
  if (device.is_cpu()) {
    return CpuOperations();
  }
  if (device.is_cuda()) {
    return nvidia;
  }
  return device.type() == c10::DeviceType::PrivateUse1 && private_use1 != nullptr
             ? *private_use1
             : AtenOperations();
}

}  // namespace wattle::engine
