// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jobs of one group keep off each other's boards (v1::Apart): who holds which board. A place is a
// board, or all boards with one value of the group's label. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_ANTI_AFFINITY_H_
#define WATTLE_SCHEDULER_PLACE_RULES_ANTI_AFFINITY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// Equal for the jobs that run apart from each other: one project, group and label. Empty: the job
// runs beside any other.
std::string AntiAffinityGroupOf(const v1::JobSpec& spec);

// What names the device's place; nullopt: it lacks the label.
std::optional<std::string> PlaceFor(const v1::Apart& apart, const v1::DeviceInfo& device);

// Whether jobs of a group on the two devices would be in one place. A device that lacks the label
// is a place of its own.
bool IsOnePlace(const v1::Apart& apart, const v1::DeviceInfo& one, const v1::DeviceInfo& other);

// How many places the devices are.
size_t PlacesOf(const v1::Apart& apart, const std::vector<DeviceView>& devices);

// Adds to the loads what the jobs of Snapshot::anti_affinity hold.
void HoldAntiAffinity(const Snapshot& snapshot, std::vector<DeviceLoad>& loads);

// Adds that the plan gives the job this device. Nothing for a job that runs beside any other.
void HoldAntiAffinity(const Snapshot& snapshot, const JobView& job, size_t device,
                      FleetLoads& loads);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_ANTI_AFFINITY_H_
