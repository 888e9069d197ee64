// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A longer search for the plan that stands, between two plans. PlanQueue's own search is short,
// because jobs that can start wait for the plan. Jobs that wait anyway have the time. Pure.
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

// Counts and no times, so that the same queue gives the same plan. A move takes microseconds on
// mains, and a tenth of a millisecond with packs.
struct SearchEffort {
  int moves_of_a_job = 6;
  int moves_max = 400;  // Of one part of the fleet.
  uint64_t seed = 1;
  // Its answers are taken only if CheckPlan finds no broken rule.
  timetable::Schedule (*improver)(const timetable::Instance& instance, timetable::Schedule begin,
                                  const timetable::SearchBudget& budget) = timetable::Improve;
  // Judges the plan that was arranged by them; nullopt: it breaks no rule.
  std::optional<std::string> (*checker)(const Snapshot& snapshot, const FleetLoads& loads,
                                        absl::Span<const JobPlace> places) = CheckPlaces;
};

struct QueueImprovement {
  // Of all jobs that wait, as JobView::last_place; empty: nothing cheaper was found.
  std::map<JobId, LastPlace> places{};
  int proposals_dropped = 0;  // As QueueAndMoves's.
};

// Goes on from the places that the jobs have (JobView::last_place). What it finds keeps every
// promise of PlanQueue, and holds for this snapshot. For a later one, the caller gives the jobs
// that still wait these places; PlanQueue then goes on from them as far as they hold.
// REQUIRES: snapshot.profiles.
QueueImprovement ImproveQueue(const Snapshot& snapshot, const SearchEffort& effort);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_IMPROVE_QUEUE_H_
