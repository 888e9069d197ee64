// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A longer search that improves the present plan until the next one. PlanQueue's own search is
// short, because jobs that can start wait for the plan. Jobs that wait anyway allow a longer one.
// Pure.
#ifndef WATTLE_SCHEDULER_PLACE_IMPROVE_QUEUE_H_
#define WATTLE_SCHEDULER_PLACE_IMPROVE_QUEUE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/place/check_places.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/improve.h"
#include "scheduler/timetable/instance.h"
#include "scheduler/timetable/schedule.h"
#include "units/id.h"

namespace wattle::scheduler {

// Counts instead of times, so that the same queue gives the same plan. A move takes microseconds on
// mains power, and a tenth of a millisecond with packs.
struct SearchEffort {
  int moves_of_a_job = 6;
  int moves_max = 400;  // Per part of the fleet.
  uint64_t seed = 1;
  // Its answers are used only if CheckPlan finds no broken rule.
  timetable::Schedule (*improver)(const timetable::Instance& instance, timetable::Schedule begin,
                                  const timetable::SearchBudget& budget) = timetable::Improve;
  // Checks the plan with the arrangement; nullopt: no rule is broken.
  std::optional<std::string> (*checker)(const Snapshot& snapshot, const FleetLoads& loads,
                                        absl::Span<const JobPlace> places) = CheckPlaces;
};

struct QueueImprovement {
  // For all waiting jobs, as JobView::last_place; empty: nothing cheaper was found.
  std::map<JobId, LastPlace> places{};
  int proposals_dropped = 0;  // See QueueAndMoves.
};

// Starts from the places of the jobs (JobView::last_place). The result keeps every promise of
// PlanQueue, and is valid for this snapshot. For a later one, the caller gives these places to the
// jobs that still wait; PlanQueue then starts from them as far as they are still valid.
// REQUIRES: snapshot.profiles.
QueueImprovement ImproveQueue(const Snapshot& snapshot, const SearchEffort& effort);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_IMPROVE_QUEUE_H_
