// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/processor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace wattle::scheduler {
namespace {

constexpr absl::string_view kOfCores = "/cpu";

}  // namespace

v1::DeviceInfo OnCores(v1::DeviceInfo device) {
  if (device.accelerator().empty()) {
    return device;
  }
  device.set_device_class(absl::StrCat(device.device_class(), kOfCores));
  device.clear_accelerator();
  device.clear_throughput_flops_datasheet();
  return device;
}

v1::DeviceInfo ProcessorOf(v1::DeviceInfo device, bool on_cpu) {
  return on_cpu ? OnCores(std::move(device)) : device;
}

absl::string_view BoardClassOf(absl::string_view device_class) {
  return absl::StripSuffix(device_class, kOfCores);
}

}  // namespace wattle::scheduler
