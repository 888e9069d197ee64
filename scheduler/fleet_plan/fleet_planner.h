// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans a large fleet: each job gets a place in time, or a verdict that says why it has none. The
// rule is that of timetable::Schedule: the job takes its cheapest way among the earliest starts
// that reserved work leaves, and no reserved work moves. A schedule asks each device for each job.
// Three measures avoid most of these questions:
//  - Devices of one class and the same labels are a pool, sorted by a time before which no run of
//    the job's length can start on the device. Reserved work only raises that time, so the search
//    resumes at the last value, and only once the device is the first of its pool. A job asks the
//    pool's devices in this order, and stops at the first that cannot be cheaper than the best way
//    found.
//  - A verdict that holds for a work class and a device class is asked once.
//  - A device that measured a work class itself, or has its artifact, stands in a short list.
// A job asks at most kAsked devices of a pool. A fleet with larger pools may thus get a dearer plan
// than a schedule finds, but never one that breaks a rule.
//
// Pure; one thread owns an object. The same fleet and the same calls give the same plan.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_FLEET_PLANNER_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_FLEET_PLANNER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/fleet_plan/fleet.h"
#include "scheduler/fleet_plan/pool.h"
#include "scheduler/fleet_plan/prices.h"
#include "scheduler/fleet_plan/ways.h"
#include "scheduler/timetable/earliest_start.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/supply.h"
#include "scheduler/timetable/timeline.h"

namespace wattle::fleet_plan {

class FleetPlanner {
 public:
  static constexpr int kAsked = 8;
  // Runs of one bucket are less than 1.5 times as long as its shortest one: kBuckets of them reach
  // from a minute to two weeks. Longer runs are in the last one.
  static constexpr size_t kBuckets = 27;

  // No job has a place. fleet: must outlive the planner. The caller may add jobs of the existing
  // work classes, and may change a device as described at ChangeDevice. A plan at a later time is a
  // new planner.
  explicit FleetPlanner(const Fleet& fleet);

  // From now on a job takes the way that costs least with these prices added. Null: no prices,
  // which is the default. Must outlive its use.
  void SetPrices(const Prices* prices) { prices_ = prices; }

  // Gives the job its cheapest way; none if none is cheaper than leaving the job out, or none ends
  // in time. REQUIRES: the job has no place.
  void Place(size_t job);
  // Takes the job's place away; none is no error.
  void TakeOut(size_t job);

  // Removes the planned work of the device and of those that share its power, and reads the closed
  // times of these devices, their pack and their supply again. Labels, cache and rates must not
  // have changed. Returns the jobs that lost their place.
  std::vector<size_t> ChangeDevice(size_t device);

  // The place of a job; nullopt: none.
  [[nodiscard]] const std::optional<Option>& place(size_t job) const { return plan_[job]; }
  // In the order of Fleet::jobs; holds the jobs that existed at the latest Place.
  [[nodiscard]] absl::Span<const std::optional<Option>> plan() const { return plan_; }
  // The plan's cost by timetable::CostOf.
  [[nodiscard]] Millijoules cost() const { return cost_; }

 private:
  // No run of a bucket can start earlier; Pool::kNever: none can start at all.
  struct Bound {
    Seconds start = 0;
    int64_t as_of = -1;  // State::changes then.
  };
  struct State {
    timetable::Timeline timeline;
    int64_t changes = 0;  // Changes of the timeline, the pack or the supply.
    std::array<Bound, kBuckets> bounds{};
    std::vector<std::pair<size_t, size_t>> slots{};  // Pools with the device's slot in each.
  };
  struct Choice {
    const Rate* rate = nullptr;
    int device = 0;
    Seconds start = 0;
    Millijoules cost = 0;
    Millijoules priced = 0;  // With prices_ added; dearer ways are ignored.
    timetable::Draw draw{};
  };

  void KnowJobs();
  void ReadDevice(size_t device);
  // Work was added to or removed from the device. may_start_earlier: removed.
  void NoteChange(size_t device, bool may_start_earlier);
  static size_t BucketOf(Seconds length);
  // The bound for the shortest run of the bucket at the lowest power, recomputed after changes.
  Seconds BoundOf(size_t device, size_t bucket);
  [[nodiscard]] std::vector<size_t> SharingPower(size_t device) const;
  [[nodiscard]] timetable::PowerSource PowerOf(size_t device) const;
  enum class Fetching { kNothing, kMaybe };
  void AskPool(const Job& job, const ClassWay& way, Fetching fetching, Choice& best);
  void AskOwn(const Job& job, const OwnWay& way, Choice& best);
  // after: no start before counts.
  void AskDevice(const Job& job, const Rate& rate, int device, Seconds after, Choice& best) const;
  void Reserve(size_t job, const Choice& choice);

  const Fleet* fleet_;
  const Prices* prices_ = nullptr;
  Ways ways_;
  std::vector<std::array<Pool, kBuckets>> pools_;  // One for each of ways_.pools.
  std::vector<State> devices_;
  std::vector<timetable::Pack> packs_;
  std::vector<timetable::Supply> supplies_;
  std::vector<std::vector<size_t>> on_pack_;    // The devices of each pack.
  std::vector<std::vector<size_t>> on_supply_;  // The devices of each supply.
  std::vector<Milliwatts> least_power_;         // The least power of any run on each device class.
  std::vector<std::optional<Option>> plan_;
  std::vector<Millijoules> costs_;  // The present cost of each job.
  Millijoules cost_ = 0;
  std::vector<std::pair<size_t, Seconds>> hidden_;  // Local to AskPool; kept to reuse its memory.
};

// The jobs with a deadline, the one that must start first in front; then the others by priority,
// release and number.
std::vector<size_t> PlanningOrder(const Fleet& fleet);

// The plan of all jobs in this order. prices: null, or those of SetPrices.
FleetPlanner PlanInOrder(const Fleet& fleet, absl::Span<const size_t> order,
                         const Prices* prices = nullptr);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_FLEET_PLANNER_H_
