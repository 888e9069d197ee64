// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards that share a pack or a supply (Policy.power_group). Pure; thread-safe.
//
// The boards of a shared pack have one charge, one capacity and one sun. The best gauge among them
// tells these: of the boards that are heard the one with the smallest error.
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
  std::optional<Watts> cap;     // Of what the boards draw together; nullopt: none.
  std::vector<size_t> devices;  // Indices in Snapshot::devices, ascending.
};

// The groups that the snapshot's policies make, by name; a group of one board is one too.
std::vector<PowerGroup> PowerGroupsOf(const Snapshot& snapshot);

// The index of the board whose gauge tells of the pack; nullopt: none of them has a gauge. Boards
// that are heard come first, then the smallest error, then the id.
std::optional<size_t> BestGauge(const Snapshot& snapshot, const std::vector<size_t>& devices);

// What a device draws without work; 0: not known.
Watts IdlePowerOf(const v1::Device& device);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_POWER_GROUP_H_
