// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards that share a pack or a supply (Policy.power_group). Pure; thread-safe.
//
// The boards of a shared pack have the same charge, capacity and sun. These values come from the
// best gauge: among the reachable boards, the one with the smallest error.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_POWER_GROUP_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_POWER_GROUP_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/place/snapshot.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

struct PowerGroup {
  std::string name;
  bool shared_pack = false;
  std::optional<Watts> cap;     // Limit of the joint draw; nullopt: none.
  std::vector<size_t> devices;  // Indices in Snapshot::devices, ascending.
};

// The groups that the snapshot's policies define, by name; a single board may form a group.
std::vector<PowerGroup> PowerGroupsOf(const Snapshot& snapshot);

// The index of the board whose gauge measures the pack; nullopt: no board has a gauge. Reachable
// boards come first, then the smallest error, then the id.
std::optional<size_t> BestGauge(const Snapshot& snapshot, const std::vector<size_t>& devices);

// Draw of a device without work; 0: unknown.
Watts IdlePowerOf(const v1::Device& device);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_POWER_GROUP_H_
