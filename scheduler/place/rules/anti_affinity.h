// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keeps jobs of one group off each other's boards (v1::Apart). A place is a board, or all boards
// with one value of the group's label. Pure.
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

// Equal for jobs that run apart from each other: same project, group and label. Empty: the job has
// no such group.
std::string AntiAffinityGroupOf(const v1::JobSpec& spec);

// Identifies the device's place; nullopt: it lacks the label.
std::optional<std::string> PlaceFor(const v1::Apart& apart, const v1::DeviceInfo& device);

// Whether two devices are one place for the group. A device that lacks the label is a separate
// place.
bool IsOnePlace(const v1::Apart& apart, const v1::DeviceInfo& one, const v1::DeviceInfo& other);

// Number of different places of the devices.
size_t PlacesOf(const v1::Apart& apart, const std::vector<DeviceView>& devices);

// Adds the holds of the jobs in Snapshot::anti_affinity to the loads.
void HoldAntiAffinity(const Snapshot& snapshot, std::vector<DeviceLoad>& loads);

// Adds the hold of a job that the plan places on this device. Does nothing for a job without a
// group.
void HoldAntiAffinity(const Snapshot& snapshot, const JobView& job, size_t device,
                      FleetLoads& loads);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_ANTI_AFFINITY_H_
