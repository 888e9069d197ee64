// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A plan under construction: jobs are put in and taken out one at a time, and the timelines of the
// devices and the charge of the packs follow. Every state keeps all rules that CheckPlan checks.
// Pure; one thread owns an object. A copy costs what the timelines and packs cost.
#ifndef WATTLE_SCHEDULER_TIMETABLE_SCHEDULE_H_
#define WATTLE_SCHEDULER_TIMETABLE_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/earliest_start.h"
#include "scheduler/timetable/instance.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/supply.h"
#include "scheduler/timetable/timeline.h"

namespace wattle::timetable {

class Schedule {
 public:
  // All jobs are left out. instance: must outlive the schedule and must not change.
  explicit Schedule(const Instance& instance);

  // Gives the job its cheapest way among the earliest starts of its options in the present gaps.
  // The job stays left out if it cannot start and end in time anywhere. skipped: one bit for each
  // of the first 64 options, set if the option does not count. REQUIRES: the job is left out.
  void Insert(size_t job, uint64_t skipped = 0);
  // Gives the job this place, which another planner found. REQUIRES: the job is left out; it ends
  // in time, and the place keeps all rules.
  void Put(size_t job, const JobOption& option, Seconds start);
  // Leaves the job out.
  void Remove(size_t job);

  [[nodiscard]] const Planned& planned(size_t job) const { return plan_[job]; }
  [[nodiscard]] absl::Span<const Planned> plan() const { return plan_; }
  [[nodiscard]] Millijoules cost() const { return cost_; }  // Equals CostOf(plan()).

 private:
  // The earliest start on the instance's grid; kNever: none ends in time.
  static constexpr Seconds kNever = -1;
  [[nodiscard]] PowerSource PowerOf(size_t device) const;
  // The number of the group's jobs in the place of the device, 0 or 1; null: the job has no group.
  [[nodiscard]] int* TakenBy(const InstanceJob& job, int device);
  [[nodiscard]] Seconds EarliestOnGrid(const InstanceJob& job, const JobOption& option) const;

  const Instance* instance_;
  std::vector<Timeline> timelines_;
  std::vector<Pack> packs_;
  std::vector<Supply> supplies_;
  std::vector<std::vector<int>> taken_;  // For each group and place.
  std::vector<Planned> plan_;
  std::vector<Millijoules> costs_;  // The present cost of each job.
  Millijoules cost_ = 0;
};

// Inserts the jobs in this order. order: each job once.
Schedule InsertInOrder(const Instance& instance, absl::Span<const size_t> order);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_SCHEDULE_H_
