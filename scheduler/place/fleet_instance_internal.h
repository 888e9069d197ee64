// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The boards of a plan as an instance of the timetable: when each is free, the packs and supplies
// that they share, and the present draw from these. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_FLEET_INSTANCE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_FLEET_INSTANCE_INTERNAL_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/instance.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

class FleetInstance {
 public:
  // loads: before the first job of the plan. devices: indices in the snapshot, in the order of the
  // instance. A board is closed until it is free.
  FleetInstance(const Snapshot& snapshot, const FleetLoads& loads,
                absl::Span<const size_t> devices);

  // Without jobs; the caller adds them.
  timetable::Instance instance;
  std::vector<size_t> devices;

  // The index of the job's group in the instance, which is added if missing.
  int GroupOf(const v1::JobSpec& spec);

 private:
  void AddPack(const timetable::Pack& pack);
  void AddSupply(const timetable::Supply& supply);

  const Snapshot* snapshot_;
  std::map<std::string, int> groups_;  // By AntiAffinityGroupOf.
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_FLEET_INSTANCE_INTERNAL_H_
