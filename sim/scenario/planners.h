// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The policies that a scenario compares: the production planner, and simple ones with the same
// boards, jobs and placement rules. A simple policy visits each waiting job once and starts it on a
// board that is free and that the rules allow now, reserves no place for later and never waits for
// a better board. `without_moves` is the production planner whose running attempts stay,
// `without_heat` the one that ignores how boards warm up, and `without_improver` the one without
// the search between plans.
#ifndef WATTLE_SIM_SCENARIO_PLANNERS_H_
#define WATTLE_SIM_SCENARIO_PLANNERS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "coordinator/core/command.h"
#include "scheduler/place/snapshot.h"

namespace wattle::sim {

using Planner = std::function<core::PlanComputed(const scheduler::Snapshot&)>;

// The names, "ours" first.
std::vector<std::string> PolicyNames();

// A planner for one run; it may remember its last choice. "ours" plans like production, and
// continues the search after each plan. REQUIRES: `name` is one of PolicyNames().
Planner MakePlanner(absl::string_view name);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_PLANNERS_H_
