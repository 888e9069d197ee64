// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The processors of a board that offers two ways to run a job (DeviceInfo.offers_cpu). The rows and
// rates of its class are those of its accelerator. Those of its cores are of a class of their own,
// "jetson-orin-nano/cpu", so that no prediction mixes the two. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_PROCESSOR_H_
#define WATTLE_SCHEDULER_PROFILES_PROCESSOR_H_

#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// The device as a job on its cores meets it: of the class of the cores, without accelerator and
// without the accelerator's datasheet. A device without an accelerator stays as it is.
v1::DeviceInfo OnCores(v1::DeviceInfo device);

// OnCores of the device with on_cpu, else the device.
v1::DeviceInfo ProcessorOf(v1::DeviceInfo device, bool on_cpu);

// "jetson-orin-nano" of itself and of the class of its cores.
absl::string_view BoardClassOf(absl::string_view device_class);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_PROCESSOR_H_
