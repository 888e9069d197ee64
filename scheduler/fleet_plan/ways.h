// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which devices can run a work class at all, and how: computed once for a fleet, because it depends
// on no job and on no plan. Pure.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_WAYS_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_WAYS_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "scheduler/fleet_plan/fleet.h"

namespace wattle::fleet_plan {

// Time and energy of a rate before the device is chosen. The run fetches nothing.
struct Needs {
  explicit Needs(const Rate& rate)
      : seconds(rate.of_a_run.seconds.high, rate.of_1000_units.seconds.high),
        millijoules(rate.of_a_run.millijoules.mean, rate.of_1000_units.millijoules.mean) {}
  // The upper end.
  [[nodiscard]] Seconds SecondsOf(int64_t units) const {
    return std::max<Seconds>(1, Scaled(seconds.first, seconds.second, units));
  }
  // The mean.
  [[nodiscard]] Millijoules MillijoulesOf(int64_t units) const {
    return Scaled(millijoules.first, millijoules.second, units);
  }

  std::pair<int64_t, int64_t> seconds;      // For a run, and for 1,000 units.
  std::pair<int64_t, int64_t> millijoules;  // For a run, and for 1,000 units.
};

// A rate that no rule of the class refuses.
struct ClassWay {
  static constexpr int kNoPool = -1;

  const Rate* rate = nullptr;
  Needs needs;
  int device_class = 0;
  // Indices in Ways::pools. A device may be in both pools.
  int with_labels = kNoPool;    // The devices of the class that have the work's labels.
  int with_artifact = kNoPool;  // The devices of the class that need not fetch, with any labels.
};

// A rate that the device measured itself.
struct OwnWay {
  const Rate* rate = nullptr;
  Needs needs;
  int device = 0;
};

struct WaysOfWork {
  // The cheapest first, by the joules of 1,000 units.
  std::vector<ClassWay> by_class;
  std::vector<OwnWay> own;
};

struct Ways {
  std::vector<WaysOfWork> of_work;      // In the order of Fleet::work_classes.
  std::vector<std::vector<int>> pools;  // The devices of each pool.
};

// The result points to the fleet's rates; the fleet must outlive the result.
Ways WaysOf(const Fleet& fleet);

// Whether one of the device's own rates replaces the class's.
bool IsMeasuredOn(const Device& device, int work_class, const Form& form);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_WAYS_H_
