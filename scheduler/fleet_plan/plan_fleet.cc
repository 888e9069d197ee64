// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/plan_fleet.h"

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"

#include "scheduler/fleet_plan/check_fleet_plan.h"
#include "scheduler/fleet_plan/fleet_planner.h"

namespace wattle::fleet_plan {
namespace {

// The linear program may split jobs, so its prices tend to be too high for whole jobs: a fraction
// of the prices often gives the cheaper plan.
constexpr int64_t kPercents[] = {100, 50, 25};

FleetPlan PlanOf(const FleetPlanner& planner) {
  return {.places = {planner.plan().begin(), planner.plan().end()}, .cost = planner.cost()};
}

}  // namespace

FleetPlan PlanFleet(const Fleet& fleet, const solve::Solver* solver, const PriceOptions& options,
                    const solve::Basis* start) {
  const std::vector<size_t> order = PlanningOrder(fleet);
  FleetPlan plan = PlanOf(PlanInOrder(fleet, order));
  if (solver == nullptr) {
    return plan;
  }
  absl::StatusOr<PricedFleet> priced = PricesOf(fleet, *solver, options, start);
  if (!priced.ok()) {
    plan.solver =
        absl::IsInternal(priced.status()) ? SolverOutcome::kWrongAnswer : SolverOutcome::kNoAnswer;
    return plan;
  }
  plan.solver = SolverOutcome::kNotCheaper;
  for (const int64_t percent : kPercents) {
    const Prices prices = priced->prices.At(percent);
    FleetPlan by_prices = PlanOf(PlanInOrder(fleet, order, &prices));
    if (by_prices.cost >= plan.cost) {
      continue;
    }
    if (CheckFleetPlan(fleet, by_prices.places).has_value()) {
      plan.solver = SolverOutcome::kBrokenRule;
      break;
    }
    by_prices.solver = SolverOutcome::kUsed;
    plan = std::move(by_prices);
  }
  plan.basis = std::move(priced->basis);
  return plan;
}

}  // namespace wattle::fleet_plan
