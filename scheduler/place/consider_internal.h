// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One job against all devices: predictions, rules, costs, order. PlanJob and PlanQueue stand on it.
// Thread-safe: no state.
#ifndef WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_

#include <vector>

#include "absl/time/time.h"

#include "scheduler/place/objective.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/work.h"
#include "units/quantity.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// What the plan knows of a device beyond the snapshot: when it is free, and what its battery has
// promised, after the decisions made so far. In the order of Snapshot::devices.
struct DeviceLoad {
  absl::Time free_at;
  Joules committed;
};

std::vector<DeviceLoad> InitialLoads(const Snapshot& snapshot);

struct Considered {
  std::vector<v1::Candidate>
      candidates;               // Feasible ones first and cheapest first, the others by name.
  std::vector<size_t> devices;  // Index into Snapshot::devices of each candidate.
  int feasible = 0;
};

struct ConsiderOptions {
  bool dry_run = false;
};

Considered Consider(const Snapshot& snapshot, const JobView& job, const WorkAmount& work,
                    const std::vector<DeviceLoad>& loads, ConsiderOptions options);

// The choice: the first candidate, if it is feasible; null: none.
const v1::Candidate* Chosen(const Considered& considered);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_
