// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Drawn fleets whose boards all work, so that every job has a place and waits.
#ifndef WATTLE_SCHEDULER_PLACE_TESTING_BUSY_FLEET_FOR_TEST_H_
#define WATTLE_SCHEDULER_PLACE_TESTING_BUSY_FLEET_FOR_TEST_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/drawn_large_fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

using Runs = std::map<std::string, v1::Candidate>;  // By job.

inline Runs RunsOf(const std::vector<QueuePlacement>& plan) {
  Runs runs;
  for (const QueuePlacement& placed : plan) {
    if (!placed.placement.device_id().empty()) {
      runs[placed.job.value()] = placed.placement.best(0);
    }
  }
  return runs;
}

// Passes on the places as the coordinator does.
inline void GivePlaces(const Runs& runs, Snapshot& snapshot) {
  for (JobView& job : snapshot.queue) {
    const v1::Candidate& run = runs.at(job.id.value());
    job.last_place = LastPlace{.device = DeviceId(run.device_id()),
                               .start = snapshot.now + absl::Seconds(run.start_in_seconds())};
  }
}

// Each board has work for some more hours, so that every job waits.
template <typename Generator>
Snapshot BusyFleet(Generator dice, ProfileTable& profiles) {
  Snapshot snapshot = DrawnFleet(dice, profiles);
  for (DeviceView& view : snapshot.devices) {
    view.device.set_running_attempt_id("j0.1");
    view.free_at = snapshot.now + absl::Hours(2) + absl::Minutes(dice() % 300);
  }
  for (JobView& job : snapshot.queue) {
    job.spec.set_deadline_seconds(0);
  }
  return snapshot;
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_TESTING_BUSY_FLEET_FOR_TEST_H_
