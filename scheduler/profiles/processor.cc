// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/processor.h"

#include <utility>

#include "proto/board_class.h"

namespace wattle::scheduler {

v1::DeviceInfo OnCores(v1::DeviceInfo device) {
  if (device.accelerator().empty()) {
    return device;
  }
  device.set_device_class(ClassOfCores(device.device_class()));
  device.clear_accelerator();
  device.clear_accelerator_total_bytes();
  device.clear_accelerator_shares_memory();
  device.clear_throughput_flops_datasheet();
  return device;
}

v1::DeviceInfo ProcessorOf(v1::DeviceInfo device, bool on_cpu) {
  return on_cpu ? OnCores(std::move(device)) : device;
}

}  // namespace wattle::scheduler
