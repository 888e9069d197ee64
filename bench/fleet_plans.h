// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans of a drawn fleet: by the shipped planner, and by lists.
//
// The shipped planner decides only starts. The bench therefore calls it like the coordinator: at
// each half hour, with the packs' true charge, the known jobs and the busy boards of that moment.
// Each plan continues from the previous one and from a search in between. The truth is the mean of
// the planner's own prediction. A list without foresight is called in the same way.
#ifndef WATTLE_BENCH_FLEET_PLANS_H_
#define WATTLE_BENCH_FLEET_PLANS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "bench/drawn_fleet.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/instance.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::bench {

// The moment at which the last job has arrived: all jobs wait, and all boards are free.
scheduler::Snapshot FreshSnapshot(const Fleet& fleet);

// The starts of all half hours.
struct StartedPlan {
  std::vector<timetable::Planned> plan;
  // The first plan that breaks a rule by the planner's own information; empty: none.
  std::string broken;
  int bytes_differ = 0;  // placements that differ in a repeated plan, every six hours
  int runs_on_packs = 0;
  // The number of these runs in which the real sun lets the pack fall below its floor. A guard
  // stops such a run; here it continues.
  int guard_stops = 0;
};
StartedPlan PlanByShipped(const Fleet& fleet);

// Plans the jobs in the order of their rank: each gets its cheapest option among the earliest
// starts.
timetable::Schedule PlanByList(const Fleet& fleet, const std::function<double(size_t job)>& rank);

// The sun under which a list without foresight plans: the mean of previous days, or the paths and
// the risk of the shipped planner.
enum class ListRisk { kNone, kAsPlanner };

// Plans the list without foresight: at each half hour the jobs that have arrived are ordered,
// beside the running ones. Like the shipped planner it does not know the end of the instance, and a
// start that would run past the end does not count.
StartedPlan PlanByListAsJobsArrive(const Fleet& fleet,
                                   const std::function<double(size_t job)>& rank, ListRisk risk);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_FLEET_PLANS_H_
