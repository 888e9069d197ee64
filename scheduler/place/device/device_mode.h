// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One of the modes in which a device may run a job. Plain values.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_DEVICE_MODE_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_DEVICE_MODE_H_

#include <optional>
#include <string>
#include <vector>

#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

struct DeviceMode {
  std::string power_mode;
  bool on_cpu = false;  // On the cores of a device with an accelerator.
  // For a job with a quality floor: the models that it may run here, the choice first.
  std::vector<v1::ModelAlternative> alternatives{};
  std::optional<v1::ModelChoice> model_choice = std::nullopt;  // nullopt: none is offered here.
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_DEVICE_MODE_H_
