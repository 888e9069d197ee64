// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The power modes of a real board. Jetson boards name theirs in /etc/nvpmodel.conf and keep the
// active one in /var/lib/nvpmodel/status (hardware.md 3.1 and 3.2 in the design's fact sheet).
// Other boards have modes of our own making, where the kernel lets the processor's frequency be
// capped: full, cpu-1500MHz, 2-cores, gpu-500MHz. Functions are thread-safe.
#ifndef WATTLE_WORKER_AGENT_POWER_MODES_H_
#define WATTLE_WORKER_AGENT_POWER_MODES_H_

#include <optional>
#include <string>
#include <vector>

#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::agent {

// One file that a mode writes.
struct PowerSetting {
  std::vector<std::string> paths{};  // within the root; the first that exists is meant
  std::string value{};               // empty: the highest that the hardware has
};
struct PowerModeRow {
  std::string name{};
  double nominal_power_watts = 0;        // 0: not told
  std::vector<PowerSetting> settings{};  // in the order in which they are written
};

// The modes of nvpmodel.conf; empty where there is no such file.
std::vector<PowerModeRow> NvpmodelModes(const std::string& root);
// Modes of our own making, by what the kernel offers. Each sets everything that any of them sets.
// Empty where no frequency can be capped.
std::vector<PowerModeRow> KernelModes(const std::string& root);

// The mode whose every setting is as the files say now; empty: none.
std::string ActiveKernelMode(const std::string& root, const std::vector<PowerModeRow>& modes);

// Fills power_modes and power_mode from nvpmodel's files. root: "" for this machine. Leaves both
// empty where the board has no file of modes.
void AddPowerModes(const std::string& root, v1::DeviceInfo* info);
void AddModes(const std::vector<PowerModeRow>& modes, v1::DeviceInfo* info);

// What this device can draw at most: ten times its largest mode. nullopt: no mode tells its watts.
std::optional<Watts> PlausiblePower(const v1::DeviceInfo& info);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_POWER_MODES_H_
