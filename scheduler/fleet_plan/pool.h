// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Devices that suit the same jobs, sorted by a time in a tournament tree, so that a change costs
// the logarithm of the pool's size. Pure; one thread owns an object.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_POOL_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_POOL_H_

#include <cstddef>
#include <limits>
#include <vector>

#include "scheduler/timetable/amounts.h"

namespace wattle::fleet_plan {

class Pool {
 public:
  static constexpr timetable::Seconds kNever = std::numeric_limits<timetable::Seconds>::max();

  // Without slots.
  Pool() : times_(2, kNever) {}
  Pool(size_t slots, timetable::Seconds time);

  void Set(size_t slot, timetable::Seconds time);
  [[nodiscard]] bool empty() const { return times_.size() == 2; }
  // kNever: no slot has a time.
  [[nodiscard]] timetable::Seconds earliest() const { return times_[1]; }
  // The slot with this time; the first of equal ones.
  [[nodiscard]] size_t EarliestSlot() const;

 private:
  size_t leaves_ = 1;                      // A power of 2.
  std::vector<timetable::Seconds> times_;  // times_[1] is the root; children of i: 2 i, 2 i + 1.
};

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_POOL_H_
