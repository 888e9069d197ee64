// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans of a drawn fleet: by the shipped planner, and by lists.
//
// The shipped planner decides starts only. So it is asked as the coordinator asks it: at each half
// hour, with the charge that the packs really have then, the jobs that are known then, and the
// boards that are busy then. Each plan goes on from the one before and from a search in between.
// The truth is the mean of the planner's own prediction. A list without foresight is asked alike.
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

// When the last job has arrived: all jobs wait, and all boards are free.
scheduler::Snapshot FreshSnapshot(const Fleet& fleet);

// What was started, half hour by half hour.
struct StartedPlan {
  std::vector<timetable::Planned> plan;
  // The first plan of a half hour that breaks a rule by what the planner was told; empty: none.
  std::string broken;
  int bytes_differ = 0;  // Placements that differ when a plan is made again, every six hours.
  int runs_on_packs = 0;
  // Of these, runs in which the real sun lets the pack fall below its floor. A guard stops such a
  // run; here it goes on.
  int guard_stops = 0;
};
StartedPlan PlanByShipped(const Fleet& fleet);

// The jobs in the order of their rank: each takes its cheapest way among the earliest start of
// each.
timetable::Schedule PlanByList(const Fleet& fleet, const std::function<double(size_t job)>& rank);

// Under which sun a list without foresight plans: the mean of the days before, or the paths and the
// risk of the shipped planner.
enum class ListRisk { kNone, kAsPlanner };

// The same list without foresight: at each half hour the jobs that have arrived are put in order,
// beside the runs that go on. As the shipped planner it does not know that the instance ends, and a
// start that would run past the end does not count.
StartedPlan PlanByListAsJobsArrive(const Fleet& fleet,
                                   const std::function<double(size_t job)>& rank, ListRisk risk);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_FLEET_PLANS_H_
