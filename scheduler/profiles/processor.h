// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The processors of a board that offers two ways to run a job (DeviceInfo.offers_cpu), whose cores
// are of a class of their own (proto/board_class.h). Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_PROCESSOR_H_
#define WATTLE_SCHEDULER_PROFILES_PROCESSOR_H_

#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// The device from the view of a job on its cores: with the class of the cores, and without the
// accelerator, its memory and its datasheet. A device without an accelerator is returned unchanged.
v1::DeviceInfo OnCores(v1::DeviceInfo device);

// OnCores of the device with on_cpu, else the device.
v1::DeviceInfo ProcessorOf(v1::DeviceInfo device, bool on_cpu);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_PROCESSOR_H_
