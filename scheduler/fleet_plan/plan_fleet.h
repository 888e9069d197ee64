// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The plan of a whole fleet: by a list, and by lists with the prices of a linear program, or a
// fraction of them, added. The cheapest plan is used. An answer of the solver that gives no cheaper
// plan without a broken rule is dropped, and the outcome says why, so that a caller can count it.
// Without a solver the plan by the list stands. Pure.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_PLAN_FLEET_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_PLAN_FLEET_H_

#include <optional>
#include <vector>

#include "scheduler/fleet_plan/fleet.h"
#include "scheduler/fleet_plan/prices.h"
#include "scheduler/solve/solver.h"

namespace wattle::fleet_plan {

enum class SolverOutcome {
  kNoSolver,
  kUsed,
  kNoAnswer,     // Dropped: the solver reached its bound or found no optimum.
  kWrongAnswer,  // Dropped: CheckSolution refuses it.
  kBrokenRule,   // Dropped: the plan made from it breaks a rule.
  kNotCheaper,   // Dropped: the plan by the list costs no more.
};

struct FleetPlan {
  std::vector<std::optional<Option>> places;  // In the order of Fleet::jobs.
  Millijoules cost = 0;
  SolverOutcome solver = SolverOutcome::kNoSolver;
  solve::Basis basis{};  // The solver's final basis, a start for the next plan. Empty: none.
};

// solver: null: none. start: the previous plan's basis; null: none.
FleetPlan PlanFleet(const Fleet& fleet, const solve::Solver* solver, const PriceOptions& options,
                    const solve::Basis* start = nullptr);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_PLAN_FLEET_H_
