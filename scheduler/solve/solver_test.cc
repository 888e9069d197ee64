// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/solve/solver.h"

#include <cmath>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::solve {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Two works of 3 and 2 pieces; a cheap machine makes 4 pieces, a dear one any number. G. Dantzig's
// transport: 4 pieces at 1 and one at 5.
LinearProgram TwoMachines() {
  LinearProgram program;
  const int first = program.AddRow(3, 3);
  const int second = program.AddRow(2, 2);
  const int cheap = program.AddRow(-kInfinity, 4);
  for (const int work : {first, second}) {
    program.AddColumn(1, kInfinity, {{work, 1}, {cheap, 1}});
    program.AddColumn(5, kInfinity, {{work, 1}});
  }
  return program;
}

TEST(SolverTest, FindsTheOptimumAndWhatTheScarceMachineIsWorth) {
  const Solver* const solver = BuiltInSolver();
  if (solver == nullptr) {
    GTEST_SKIP() << "this build has no solver";
  }
  const LinearProgram program = TwoMachines();
  const absl::StatusOr<Solution> solution = solver->solve(program, {.iterations = 100});
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_TRUE(CheckSolution(program, *solution).ok());
  EXPECT_NEAR(solution->cost, 9, 1e-9);
  EXPECT_NEAR(solution->row_prices[2], -4, 1e-9);
  // Starting from the final basis, no step is left.
  EXPECT_TRUE(solver->solve(program, {.iterations = 1, .start = &solution->basis}).ok());
}

TEST(SolverTest, SaysWhenItEndsWithoutAnAnswer) {
  const Solver* const solver = BuiltInSolver();
  if (solver == nullptr) {
    GTEST_SKIP() << "this build has no solver";
  }
  LinearProgram program = TwoMachines();
  EXPECT_EQ(solver->solve(program, {.iterations = 0}).status().code(),
            absl::StatusCode::kResourceExhausted);
  program.AddColumn(0, 1, {{program.AddRow(2, kInfinity), 1}});
  EXPECT_EQ(solver->solve(program, {.iterations = 100}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(SolverTest, AnAnswerThatIsNoneIsRefused) {
  const LinearProgram program = TwoMachines();
  const Solution good{.cost = 9, .columns = {3, 0, 1, 1}, .row_prices = {5, 5, -4}, .basis = {}};
  EXPECT_TRUE(CheckSolution(program, good).ok());
  const auto refused = [&](auto change) {
    Solution bad = good;
    change(bad);
    return std::string(CheckSolution(program, bad).message());
  };
  EXPECT_THAT(refused([](Solution& bad) { bad.columns[0] = NAN; }), testing::HasSubstr("column 0"));
  EXPECT_THAT(refused([](Solution& bad) { bad.columns[1] = -1; }), testing::HasSubstr("column 1"));
  EXPECT_THAT(refused([](Solution& bad) { bad.columns[3] = 0; }), testing::HasSubstr("row 1"));
  EXPECT_THAT(refused([](Solution& bad) {
                bad.columns = {3, 0, 2, 0};
              }),
              testing::HasSubstr("row 2"));
  EXPECT_THAT(refused([](Solution& bad) { bad.row_prices[1] = kInfinity; }),
              testing::HasSubstr("price of row 1"));
  EXPECT_THAT(refused([](Solution& bad) { bad.cost = 8; }), testing::HasSubstr("a cost of 8"));
  EXPECT_THAT(refused([](Solution& bad) { bad.columns.pop_back(); }),
              testing::HasSubstr("3 columns"));
}

}  // namespace
}  // namespace wattle::solve
