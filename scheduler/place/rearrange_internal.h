// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Searches for a cheaper arrangement of the queue: its order and its devices. The search
// (scheduler/timetable/improve.h) uses a simplified fleet of plain numbers: each job runs for its
// mean time, and only devices and packs limit it. Its answer is therefore a proposal. PlanQueue
// plans the queue accordingly under all rules and uses the answer only if that plan is cheaper.
// Pure; one thread owns an object.
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
  // null: the device does not take the job. promise: nullopt if the job has no place.
  void Add(const JobView& job, absl::Span<const Option* const> starts,
           const std::optional<Promise>& promise);

  // The price of this run of the job (an index in order of Add). All objectives are priced in
  // millijoules: for a job with the objective time, a second costs its least joules over its
  // shortest run. REQUIRES: the search may use the device.
  [[nodiscard]] timetable::Millijoules PriceOf(size_t job, const RunStart& start) const;

  struct Place {
    size_t job = 0;                // index in order of Add
    std::optional<size_t> device;  // nullopt: the search found no place.
  };
  struct Answer {
    std::vector<Place> places;  // All jobs in the order of their starts.
    // The sum of PriceOf that the search expects; a job without a place costs more than all others.
    timetable::Millijoules price = 0;
    // For an answer that CheckPlan refuses: the rule. Such an answer has no places and no price.
    std::string broken_rule{};
  };
  // Begins with the jobs in the order of Add, or with the latest plan if that is cheaper.
  // Deterministic. latest: all jobs in the order of that plan; empty: there is none.
  [[nodiscard]] Answer Search(const SearchEffort& effort, absl::Span<const Place> latest);

 private:
  struct Scale {
    double joules = 0;   // the fewest of the job's ways
    double seconds = 1;  // The shortest run of them.
  };
  struct Price {
    timetable::Millijoules now = 0;
    timetable::Millijoules per_hour = 0;
  };
  [[nodiscard]] Price PriceFrom(size_t job, const RunStart& start) const;
  // Makes leaving out a job more expensive than all other prices together.
  void SetLeftOutPrices();
  [[nodiscard]] timetable::Schedule InOrderOfAdd() const;
  // Each job on its device of the latest plan; a job refused there takes its cheapest way.
  [[nodiscard]] timetable::Schedule FromLatest(absl::Span<const Place> latest) const;

  const Snapshot* snapshot_;
  FleetInstance fleet_;                           // The devices that the search may use, by name.
  std::vector<double> patience_ratios_per_hour_;  // By device of the snapshot, if used.
  std::vector<const JobView*> jobs_;
  std::vector<Scale> scales_;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_REARRANGE_INTERNAL_H_
