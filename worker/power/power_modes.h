// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The power modes of a real board. Jetson boards define theirs in /etc/nvpmodel.conf and keep the
// active one in /var/lib/nvpmodel/status (nvpmodel in NVIDIA's Jetson Linux Developer Guide). For
// other boards Wattle defines modes if the kernel can cap the processor's frequency: full,
// cpu-1500MHz, 2-cores, gpu-500MHz. Functions are thread-safe.
#ifndef WATTLE_WORKER_POWER_POWER_MODES_H_
#define WATTLE_WORKER_POWER_POWER_MODES_H_

#include <optional>
#include <string>
#include <vector>

#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::agent {

// One file that a mode writes.
struct PowerSetting {
  std::vector<std::string> paths{};  // within the root; the first existing one counts
  std::string value{};               // empty: the highest value of the hardware
};
struct PowerModeRow {
  std::string name{};
  double nominal_power_watts = 0;        // 0: unknown
  std::vector<PowerSetting> settings{};  // in the order of writing
  // What the mode sets, as v1::PowerMode tells it. 0: not known.
  double cpu_mhz = 0;
  double gpu_mhz = 0;
  double memory_mhz = 0;
  int cores = 0;
};

// The modes of nvpmodel.conf; empty if there is no such file.
std::vector<PowerModeRow> NvpmodelModes(const std::string& root);
// The mode that nvpmodel's status file names; empty: none.
std::string ActiveNvpmodelMode(const std::string& root);
// Modes that Wattle defines from the kernel's interfaces. Each mode sets every setting that any of
// them sets. Empty if no frequency can be capped.
std::vector<PowerModeRow> KernelModes(const std::string& root);
// The modes that the board has: those of nvpmodel.conf, or where there is none the kernel's.
std::vector<PowerModeRow> BoardModes(const std::string& root);

// The mode whose settings all equal the files' present content; empty: none.
std::string ActiveKernelMode(const std::string& root, const std::vector<PowerModeRow>& modes);

// Notices that somebody else has set the board's mode: nvpmodel by its status file, Wattle's own
// modes by the kernel's files. Caps that fit no mode are none: a hot board's kernel lowers them by
// itself, which is why a kernel mode must be there at two looks.
class PowerModeWatch {
 public:
  // kernel_modes: empty where the board has nvpmodel's.
  PowerModeWatch(std::string root, std::vector<PowerModeRow> kernel_modes);
  // The mode that others have set since the last look; nullopt: none. known: the mode that the
  // board should be in.
  std::optional<std::string> Look(const std::string& known);

 private:
  const std::string root_;
  const std::vector<PowerModeRow> kernel_modes_;
  std::string nvpmodel_;     // its mode at the last look
  std::string kernel_mode_;  // unexpected, at the last look
};

// Fills power_modes and power_mode from nvpmodel's files, if the board has them. root: "" for this
// machine.
void AddPowerModes(const std::string& root, v1::DeviceInfo* info);
void AddModes(const std::vector<PowerModeRow>& modes, v1::DeviceInfo* info);

// Largest plausible power of this device: ten times its largest mode; where a mode names no watts,
// as MAXN, what the device's class can draw. nullopt: neither is known.
std::optional<Watts> PlausiblePower(const v1::DeviceInfo& info);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_POWER_POWER_MODES_H_
