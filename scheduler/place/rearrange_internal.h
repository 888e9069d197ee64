// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Looks for a cheaper arrangement of the queue: who goes before whom, and who takes which device.
// The search (scheduler/timetable/improve.h) sees a simpler fleet of plain numbers: each job runs
// at its mean, and only devices and packs are in its way. So its answer is a proposal. PlanQueue
// plans the queue by it under all rules and takes it only if that plan is cheaper. Pure; one thread
// owns an object.
#ifndef WATTLE_SCHEDULER_PLACE_REARRANGE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_REARRANGE_INTERNAL_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/device/option.h"
#include "scheduler/place/fleet_instance_internal.h"
#include "scheduler/place/improve_queue.h"
#include "scheduler/place/promise_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::scheduler {

class Rearrangement {
 public:
  // loads: before the first job of the plan. devices: those that the search may use.
  Rearrangement(const Snapshot& snapshot, const FleetLoads& loads,
                absl::Span<const size_t> devices);

  // Adds a job. starts: on each device of the snapshot the job's earliest start under the loads;
  // null: the device does not take the job. promise: nullopt where the job has no place.
  void Add(const JobView& job, absl::Span<const Option* const> starts,
           const std::optional<Promise>& promise);

  // What a plan pays for this run of the job (as counted by Add). The unit of all objectives is the
  // millijoule: a second of a job for the earliest end counts as its cheapest joules over its
  // shortest run. REQUIRES: the device is one of those that the search may use.
  [[nodiscard]] timetable::Millijoules PriceOf(size_t job, const RunStart& start) const;

  struct Place {
    size_t job = 0;                // As counted by Add.
    std::optional<size_t> device;  // nullopt: the search found no place.
  };
  struct Answer {
    std::vector<Place> places;  // All jobs in the order of their starts.
    // The sum of PriceOf as the search expects it; a job without a place costs more than all
    // others.
    timetable::Millijoules price = 0;
    // Of an answer that CheckPlan refuses: the rule. It has no places and no price then.
    std::string broken_rule{};
  };
  // Begins with the jobs in the order of Add, or from the latest plan if that is cheaper. Always
  // the same answer for the same jobs.
  // latest: all jobs in the order in which that plan had them; empty: there is none.
  [[nodiscard]] Answer Search(const SearchEffort& effort, absl::Span<const Place> latest);

 private:
  struct Scale {
    double joules = 0;   // The fewest of the job's ways.
    double seconds = 1;  // The shortest run of them.
  };
  struct Price {
    timetable::Millijoules now = 0;
    timetable::Millijoules per_hour = 0;
  };
  [[nodiscard]] Price PriceFrom(size_t job, const RunStart& start) const;
  // No other job's joules outweigh a job that finds no place.
  void SetLeftOutPrices();
  [[nodiscard]] timetable::Schedule InOrderOfAdd() const;
  // Each job on its device of the latest plan; one that is refused there takes its cheapest way.
  [[nodiscard]] timetable::Schedule FromLatest(absl::Span<const Place> latest) const;

  const Snapshot* snapshot_;
  FleetInstance fleet_;                           // The devices that the search may use, by name.
  std::vector<double> patience_ratios_per_hour_;  // Of each device of the snapshot, if used.
  std::vector<const JobView*> jobs_;
  std::vector<Scale> scales_;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_REARRANGE_INTERNAL_H_
