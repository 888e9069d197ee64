// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/lower_mode.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace wattle::agent {
namespace {

const v1::PowerMode* Find(const v1::DeviceInfo& info, const std::string& name) {
  const auto found = std::find_if(info.power_modes().begin(), info.power_modes().end(),
                                  [&](const v1::PowerMode& mode) { return mode.name() == name; });
  return found == info.power_modes().end() ? nullptr : &*found;
}

// Clocks and cores that a mode gives to work. 0: unknown.
std::array<double, 3> Speeds(const v1::PowerMode& mode) {
  return {mode.cpu_mhz() * std::max(1, mode.cores()), mode.gpu_mhz(), mode.memory_mhz()};
}

bool IsLower(const v1::PowerMode& mode, const v1::PowerMode& than) {
  if (mode.nominal_power_watts() > 0 && than.nominal_power_watts() > 0) {
    return mode.nominal_power_watts() < than.nominal_power_watts();
  }
  const std::array<double, 3> slower = Speeds(mode);
  const std::array<double, 3> faster = Speeds(than);
  bool lower = false;
  for (size_t i = 0; i < slower.size(); ++i) {
    if (slower[i] > faster[i]) {
      return false;
    }
    lower |= slower[i] < faster[i] && slower[i] > 0;
  }
  return lower;
}

}  // namespace

std::string LowestModeBelow(const v1::DeviceInfo& info, const std::string& mode) {
  const v1::PowerMode* lowest = Find(info, mode);
  if (lowest == nullptr) {
    return mode;
  }
  for (const v1::PowerMode& one : info.power_modes()) {
    lowest = IsLower(one, *lowest) ? &one : lowest;
  }
  return lowest->name();
}

double SlowerBy(const v1::DeviceInfo& info, const std::string& from, const std::string& to) {
  const v1::PowerMode* const before = Find(info, from);
  const v1::PowerMode* const after = Find(info, to);
  // The worst ratio of any quantity is an upper bound, whichever quantity limits the work.
  double slower = 1;
  if (before == nullptr || after == nullptr) {
    return slower;
  }
  const auto count = [&slower](double high, double low) {
    slower = high > 0 && low > 0 ? std::max(slower, high / low) : slower;
  };
  count(before->nominal_power_watts(), after->nominal_power_watts());
  const std::array<double, 3> faster = Speeds(*before);
  const std::array<double, 3> present = Speeds(*after);
  for (size_t i = 0; i < faster.size(); ++i) {
    count(faster[i], present[i]);
  }
  return slower;
}

}  // namespace wattle::agent
