// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans a large fleet: each job gets a place in time, or a verdict that says why it has none. The
// rule is that of timetable::Schedule: the job takes its cheapest way among the earliest starts
// that reserved work leaves, and no reserved work moves. A schedule asks each device for each job.
// Here three things spare most of the questions:
//  - Devices of one class and the same labels are a pool, sorted by a time before which no run of
//    any job can start on the device. Reserved work only raises that time. A job asks the pool's
//    devices in this order, and stops at the first that cannot be cheaper than what the job has.
//  - A verdict that holds for a work class and a device class is asked once.
//  - A device that measured a work class itself, or has its artifact, stands in a short list.
// A job asks at most kAsked devices of a pool. So a fleet with larger pools may get a dearer plan
// than a schedule finds, never one that breaks a rule.
//
// Pure; one thread owns an object. The same fleet and the same calls give the same plan.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_FLEET_PLANNER_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_FLEET_PLANNER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/fleet_plan/fleet.h"
#include "scheduler/fleet_plan/pool.h"
#include "scheduler/fleet_plan/rules.h"
#include "scheduler/fleet_plan/ways.h"
#include "scheduler/timetable/earliest_start.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/supply.h"
#include "scheduler/timetable/timeline.h"

namespace wattle::fleet_plan {

class FleetPlanner {
 public:
  static constexpr int kAsked = 8;

  // No job has a place. fleet: must outlive the planner. The caller may add jobs of the work
  // classes that are there, and may change a device as ChangeDevice says.
  explicit FleetPlanner(const Fleet& fleet);

  // Gives the job its cheapest way; none if none is cheaper than leaving the job out, or none ends
  // in time. REQUIRES: the job has no place.
  void Place(size_t job);
  // Takes the job's place away; none is no error.
  void TakeOut(size_t job);

  // Takes out what is planned on the device and on those that share its power, and reads the closed
  // times of these devices, their pack and their supply anew. Labels, cache and rates must be as
  // they were. Returns the jobs that lost their place.
  std::vector<size_t> ChangeDevice(size_t device);

  // The place of a job; nullopt: none.
  [[nodiscard]] const std::optional<Option>& place(size_t job) const { return plan_[job]; }
  // In the order of Fleet::jobs, as far as they were known at the latest Place.
  [[nodiscard]] absl::Span<const std::optional<Option>> plan() const { return plan_; }
  // As timetable::CostOf.
  [[nodiscard]] Millijoules cost() const { return cost_; }

 private:
  struct State {
    timetable::Timeline timeline;
    Seconds earliest = 0;                            // Its time in the pools.
    std::vector<std::pair<size_t, size_t>> slots{};  // Pools with its slot in each.
  };
  // What no run of any job is below. A run with a lower draw starts no later.
  struct Lightest {
    Seconds length = 0;
    Milliwatts power = 0;
  };
  struct Choice {
    const Rate* rate = nullptr;
    int device = 0;
    Seconds start = 0;
    Millijoules cost = 0;
    timetable::Draw draw{};
  };

  void KnowJobs();
  // Lowers the lightest runs to those of the job. Returns whether one of them fell.
  bool MakeLighter(const Job& job);
  void ReadDevice(size_t device);
  void Refresh(size_t device);
  [[nodiscard]] std::vector<size_t> SharingPower(size_t device) const;
  [[nodiscard]] timetable::PowerSource PowerOf(size_t device) const;
  // The least that a run by this rate costs if it starts then.
  [[nodiscard]] Millijoules LeastCost(const Job& job, const Rate& rate, Seconds start) const;
  void AskPool(const Job& job, const Rate& rate, int pool, Choice& best);
  void AskDevice(const Job& job, const Rate& rate, int device, Choice& best) const;
  void Reserve(size_t job, const Choice& choice);

  const Fleet* fleet_;
  Ways ways_;
  std::vector<Pool> pools_;
  std::vector<State> devices_;
  std::vector<timetable::Pack> packs_;
  std::vector<timetable::Supply> supplies_;
  std::vector<std::vector<size_t>> on_pack_;    // The devices of each pack.
  std::vector<std::vector<size_t>> on_supply_;  // Likewise.
  std::vector<Lightest> lightest_;              // Of each device class.
  std::vector<int64_t> least_units_;            // Of each work class, as far as lightest_ knows.
  std::vector<std::optional<Option>> plan_;
  std::vector<Millijoules> costs_;  // Of each job, as it stands.
  Millijoules cost_ = 0;
  std::vector<size_t> hidden_;  // Of AskPool, kept for its memory.
};

// The jobs with a deadline, the one that must start first in front; then the others by priority,
// release and number.
std::vector<size_t> PlanningOrder(const Fleet& fleet);

// The plan of all jobs in this order.
FleetPlanner PlanInOrder(const Fleet& fleet, absl::Span<const size_t> order);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_FLEET_PLANNER_H_
