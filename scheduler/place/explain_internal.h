// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Explains a plan: one sentence for a choice or for its absence, and the bounded explanation of a
// placement.
#ifndef WATTLE_SCHEDULER_PLACE_EXPLAIN_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_EXPLAIN_INTERNAL_H_

#include <optional>
#include <string>

#include "scheduler/place/consider_internal.h"
#include "scheduler/place/objective.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// What the first steps on the chosen device are worth; nullopt: the job starts there as any other.
std::optional<v1::ProbeValue> ValueOfProbe(const Considered& considered);

// "orin: 36.33 Wh, the least; xavier would take 57.82 Wh (+59 %)".
std::string ReasonOf(const Considered& considered, const ObjectiveRow& objective);

// The choice of `considered` with the five best candidates and counts of the refusals. Without a
// feasible candidate, `best` has up to five refused ones with their reasons.
v1::Placement PlacementOf(const Considered& considered, const ObjectiveRow& objective);

// Whether there are devices and each one's refusal is permanent.
bool NeverFeasible(const Considered& considered);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_EXPLAIN_INTERNAL_H_
