// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/plan_fleet.h"

#include <cmath>

#include "gtest/gtest.h"

#include "scheduler/fleet_plan/check_fleet_plan.h"
#include "scheduler/fleet_plan/testing/drawn_fleet_for_test.h"

namespace wattle::fleet_plan {
namespace {

constexpr PriceOptions kOptions = {.buckets = 12, .iterations_max = 20'000};

solve::Solver Fake(absl::StatusOr<solve::Solution> (*solve)(const solve::LinearProgram&,
                                                            const solve::Budget&)) {
  return {.name = "fake", .solve = solve};
}

// An answer that CheckSolution accepts: every job is left out, and all sun is lost.
solve::Solution LeaveAllOut(const solve::LinearProgram& program, double price) {
  solve::Solution solution;
  solution.columns.assign(program.columns().size(), 0);
  solution.row_prices.assign(program.rows().size(), price);
  for (size_t row = 0; row < program.rows().size(); ++row) {
    const double wanted = program.rows()[row].lower;
    for (size_t column = 0; std::isfinite(wanted) && column < program.columns().size(); ++column) {
      const solve::LinearProgram::Column& one = program.columns()[column];
      if (one.terms.size() == 1 && one.terms[0].row == static_cast<int>(row) &&
          one.terms[0].factor * wanted > 0) {
        solution.columns[column] = std::abs(wanted);
        solution.cost += one.cost * std::abs(wanted);
        break;
      }
    }
  }
  return solution;
}

Fleet Drawn() {
  return FleetDrawer(5, {.devices = 6, .jobs = 30}).Draw();
}

TEST(PlanFleetTest, AnAnswerWithoutUseIsDroppedAndThePlanStands) {
  const Fleet fleet = Drawn();
  const FleetPlan plan = PlanFleet(fleet, nullptr, kOptions);
  EXPECT_EQ(plan.solver, SolverOutcome::kNoSolver);
  const struct {
    solve::Solver solver;
    SolverOutcome outcome;
  } kCases[] = {
      {Fake([](const solve::LinearProgram&, const solve::Budget&) {
         return absl::StatusOr<solve::Solution>(absl::ResourceExhaustedError("late"));
       }),
       SolverOutcome::kNoAnswer},
      {Fake([](const solve::LinearProgram& program, const solve::Budget&) {
         solve::Solution solution = LeaveAllOut(program, 0);
         solution.row_prices.back() = NAN;
         return absl::StatusOr<solve::Solution>(solution);
       }),
       SolverOutcome::kWrongAnswer},
      {Fake([](const solve::LinearProgram& program, const solve::Budget&) {
         solve::Solution solution = LeaveAllOut(program, 0);
         solution.cost /= 2;
         return absl::StatusOr<solve::Solution>(solution);
       }),
       SolverOutcome::kWrongAnswer},
      // Zero prices change nothing.
      {Fake([](const solve::LinearProgram& program, const solve::Budget&) {
         return absl::StatusOr<solve::Solution>(LeaveAllOut(program, 0));
       }),
       SolverOutcome::kNotCheaper},
  };
  for (const auto& one : kCases) {
    const FleetPlan with = PlanFleet(fleet, &one.solver, kOptions);
    EXPECT_EQ(with.solver, one.outcome);
    EXPECT_EQ(with.cost, plan.cost);
    EXPECT_EQ(CheckFleetPlan(fleet, with.places), std::nullopt);
  }
}

TEST(PlanFleetTest, TheBuiltInSolverNeverMakesAPlanDearerAndBreaksNoRule) {
  const solve::Solver* const solver = solve::BuiltInSolver();
  if (solver == nullptr) {
    GTEST_SKIP() << "this build has no solver";
  }
  int used = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Fleet fleet = FleetDrawer(seed, {.devices = 30, .jobs = 200}).Draw();
    const FleetPlan without = PlanFleet(fleet, nullptr, kOptions);
    const FleetPlan plan = PlanFleet(fleet, solver, kOptions);
    ASSERT_TRUE(plan.solver == SolverOutcome::kUsed || plan.solver == SolverOutcome::kNotCheaper);
    ASSERT_LE(plan.cost, without.cost);
    ASSERT_EQ(CheckFleetPlan(fleet, plan.places), std::nullopt);
    used += plan.solver == SolverOutcome::kUsed ? 1 : 0;
    // Repeats the plan, starting from the solver's final basis.
    const FleetPlan again = PlanFleet(fleet, solver, kOptions, &plan.basis);
    ASSERT_TRUE(again.solver == SolverOutcome::kUsed || again.solver == SolverOutcome::kNotCheaper);
  }
  EXPECT_GT(used, 5);
}

}  // namespace
}  // namespace wattle::fleet_plan
