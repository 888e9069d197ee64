// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The power modes of a real board. Jetson boards name theirs in /etc/nvpmodel.conf and keep the
// active one in /var/lib/nvpmodel/status (hardware.md 3.1 and 3.2 in the design's fact sheet).
// Other boards have one mode without a name. Functions are thread-safe.
#ifndef WATTLE_WORKER_AGENT_POWER_MODES_H_
#define WATTLE_WORKER_AGENT_POWER_MODES_H_

#include <optional>
#include <string>

#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::agent {

// Fills power_modes and power_mode. root: "" for this machine. Leaves both empty where the board
// has no file of modes.
void AddPowerModes(const std::string& root, v1::DeviceInfo* info);

// What this device can draw at most: ten times its largest mode. nullopt: no mode tells its watts.
std::optional<Watts> PlausiblePower(const v1::DeviceInfo& info);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_POWER_MODES_H_
