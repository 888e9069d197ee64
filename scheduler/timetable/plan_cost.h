// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The cost of a plan in millijoules: each job's joules, a price for each hour that the job waits,
// and the price of the jobs that are left out. Integers, so that two plans compare alike on every
// architecture. Pure.
#ifndef WATTLE_SCHEDULER_TIMETABLE_PLAN_COST_H_
#define WATTLE_SCHEDULER_TIMETABLE_PLAN_COST_H_

#include "absl/types/span.h"

#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/instance.h"

namespace wattle::timetable {

// The cost of a job that starts at `start` with this option and ends in time. REQUIRES: start >=
// job.released.
inline Millijoules CostAt(const InstanceJob& job, const JobOption& option, Seconds start) {
  return option.cost + option.cost_per_hour * (start - job.released) / kHour;
}

// The cost of a whole plan. A job that ends late costs as much as one that is left out. REQUIRES:
// CheckPlan finds no fault in the plan.
Millijoules CostOf(const Instance& instance, absl::Span<const Planned> plan);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_PLAN_COST_H_
