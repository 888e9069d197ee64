// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Linear programs and their solvers. Each solver is a file; a build without any solver's library
// has none, and planners then work without one. No answer is used unchecked: CheckSolution checks
// every solution, and CheckPlan checks every plan made from one.
//
// A solver is bounded by iterations and never by time, and runs in one thread: the same program,
// start and bound give the same answer on one machine. Floating point may differ between
// architectures, so results that must agree on both may not depend on a solver.
#ifndef WATTLE_SCHEDULER_SOLVE_SOLVER_H_
#define WATTLE_SCHEDULER_SOLVE_SOLVER_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::solve {

// Minimizes the sum of cost x column. Columns are at least 0.
class LinearProgram {
 public:
  struct Term {
    int row = 0;
    double factor = 0;
  };
  struct Row {
    double lower = 0;
    double upper = 0;
  };
  struct Column {
    double cost = 0;
    double upper = 0;
    std::vector<Term> terms;  // Contains each row at most once.
  };

  // lower <= the sum of factor x column <= upper. Returns the row's number.
  int AddRow(double lower, double upper);
  // Returns the column's number. REQUIRES: the rows of the terms exist.
  int AddColumn(double cost, double upper, std::vector<Term> terms);

  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }

 private:
  std::vector<Row> rows_;
  std::vector<Column> columns_;
};

// A solver's final state in its own format; a start for a program of the same shape.
using Basis = std::vector<unsigned char>;

struct Solution {
  double cost = 0;
  std::vector<double> columns;
  // The change of the cost with the bound of each row.
  std::vector<double> row_prices;
  Basis basis;
};

struct Budget {
  int iterations = 0;
  const Basis* start = nullptr;  // Null, or of another shape: no start.
};

struct Solver {
  absl::string_view name;
  // Errors: kResourceExhausted at the bound; kFailedPrecondition: the program has no optimum.
  absl::StatusOr<Solution> (*solve)(const LinearProgram& program, const Budget& budget) = nullptr;
};

// The solver of this build; null: it has none.
const Solver* BuiltInSolver();

// Checks that the columns are numbers, keep all bounds, and have the stated cost, within a
// millionth of the numbers involved. Errors: kInternal names the first violation.
absl::Status CheckSolution(const LinearProgram& program, const Solution& solution);

}  // namespace wattle::solve

#endif  // WATTLE_SCHEDULER_SOLVE_SOLVER_H_
