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
  // The mode's numbers, as in v1::PowerMode. 0: unknown.
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
// The board's modes: those of nvpmodel.conf, or the kernel's if that file is absent.
std::vector<PowerModeRow> BoardModes(const std::string& root);

// The mode whose settings all equal the files' present content; empty: none.
std::string ActiveKernelMode(const std::string& root, const std::vector<PowerModeRow>& modes);

// Detects that another program has set the board's mode: nvpmodel's by its status file, Wattle's
// own modes by the kernel's files. Caps that match no mode are ignored. A hot board's kernel lowers
// caps by itself, so a kernel mode counts only if two checks see it.
class PowerModeWatch {
 public:
  // kernel_modes: empty if the board has nvpmodel's modes.
  PowerModeWatch(std::string root, std::vector<PowerModeRow> kernel_modes);
  // The mode that another program has set since the last check; nullopt: none. known: the mode that
  // the board should be in.
  std::optional<std::string> Look(const std::string& known);

 private:
  const std::string root_;
  const std::vector<PowerModeRow> kernel_modes_;
  std::string nvpmodel_;     // its mode at the last check
  std::string kernel_mode_;  // unexpected mode at the last check
};

// Fills power_modes and power_mode from nvpmodel's files, if the board has them. root: "" for this
// machine.
void AddPowerModes(const std::string& root, v1::DeviceInfo* info);
void AddModes(const std::vector<PowerModeRow>& modes, v1::DeviceInfo* info);

// Largest plausible power of this device: ten times its largest mode; if a mode names no watts,
// like MAXN, the largest draw of the device's class. nullopt: neither is known.
std::optional<Watts> PlausiblePower(const v1::DeviceInfo& info);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_POWER_POWER_MODES_H_
