// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/device/power_group.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"

#include "policy/limits.h"
#include "scheduler/place/rules/selector.h"

namespace wattle::scheduler {

std::vector<PowerGroup> PowerGroupsOf(const Snapshot& snapshot) {
  const auto makes_group = [](const v1::Policy& policy) { return policy.has_power_group(); };
  if (std::none_of(snapshot.policies.begin(), snapshot.policies.end(), makes_group)) {
    return {};
  }
  std::map<std::string, PowerGroup> groups;
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    const policy::Limits limits = LimitsFor(snapshot.policies, snapshot.devices[i].device.info());
    if (!limits.power_group) {
      continue;
    }
    PowerGroup& group = groups[limits.power_group->name];
    group.name = limits.power_group->name;
    group.shared_pack |= limits.power_group->shared_pack;
    // A policy for only some boards of a supply may set the supply's cap.
    if (const std::optional<Watts>& cap = limits.power_group->cap; cap) {
      group.cap = std::min(group.cap.value_or(*cap), *cap);
    }
    group.devices.push_back(i);
  }
  std::vector<PowerGroup> sorted;
  for (auto& [name, group] : groups) {
    sorted.push_back(std::move(group));
  }
  return sorted;
}

std::optional<size_t> BestGauge(const Snapshot& snapshot, const std::vector<size_t>& devices) {
  std::optional<size_t> best;
  const auto rank = [&snapshot](size_t i) {
    const v1::Device& device = snapshot.devices[i].device;
    return std::make_tuple(!device.connected() || device.unreachable(),
                           device.info().battery_capacity_wh() <= 0, GaugeOf(device).error,
                           absl::string_view(device.info().device_id()));
  };
  for (const size_t i : devices) {
    const v1::Device& device = snapshot.devices[i].device;
    if (HasGauge(device) && device.heartbeat().has_battery() && (!best || rank(i) < rank(*best))) {
      best = i;
    }
  }
  return best;
}

Watts IdlePowerOf(const v1::Device& device) {
  return Watts(device.heartbeat().idle_power_watts() > 0 ? device.heartbeat().idle_power_watts()
                                                         : device.info().idle_power_watts());
}

}  // namespace wattle::scheduler
