// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which devices can run a work class at all, and how: computed once for a fleet, because it depends
// on no job and on no plan. Pure.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_WAYS_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_WAYS_H_

#include <vector>

#include "scheduler/fleet_plan/fleet.h"

namespace wattle::fleet_plan {

// A rate that no rule of the class refuses.
struct ClassWay {
  static constexpr int kNoPool = -1;

  const Rate* rate = nullptr;
  int device_class = 0;
  // Indices in Ways::pools. Some devices may stand in both.
  int with_labels = kNoPool;    // The devices of the class with the labels that the work wants.
  int with_artifact = kNoPool;  // Those of the class that need not fetch, whatever their labels.
};

// A rate that the device measured itself.
struct OwnWay {
  const Rate* rate = nullptr;
  int device = 0;
};

struct WaysOfWork {
  // The cheapest first, by a typical amount of work.
  std::vector<ClassWay> by_class;
  std::vector<OwnWay> own;
};

struct Ways {
  std::vector<WaysOfWork> of_work;      // In the order of Fleet::work_classes.
  std::vector<std::vector<int>> pools;  // The devices of each pool.
};

// The rates are those of the fleet, which must outlive the answer.
Ways WaysOf(const Fleet& fleet);

// Whether a rate of its own replaces the class's.
bool IsMeasuredOn(const Device& device, int work_class, const Form& form);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_WAYS_H_
