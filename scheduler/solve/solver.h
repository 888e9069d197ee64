// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Linear programs, and who solves them. Each solver is a file; a build without the library of any
// solver has none, and whoever plans does without. Nobody trusts an answer: CheckSolution looks at
// every one, and a plan made from it is judged by CheckPlan.
//
// A solver is bounded by iterations and never by time, and runs in one thread: the same program,
// start and bound give the same answer on one machine. Floating point may differ between
// architectures, so nothing that has to be the same on both may depend on a solver.
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
    std::vector<Term> terms;  // Each row at most once.
  };

  // lower <= the sum of factor x column <= upper. Returns the row's number.
  int AddRow(double lower, double upper);
  // Returns the column's number. REQUIRES: the rows of the terms are there.
  int AddColumn(double cost, double upper, std::vector<Term> terms);

  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }

 private:
  std::vector<Row> rows_;
  std::vector<Column> columns_;
};

// Where a solver ended, as it understands it; a start for a program of the same shape.
using Basis = std::vector<unsigned char>;

struct Solution {
  double cost = 0;
  std::vector<double> columns;
  // By how much the cost changes with the bound of each row.
  std::vector<double> row_prices;
  Basis basis;
};

struct Budget {
  int iterations = 0;
  const Basis* start = nullptr;  // Null, or of another shape: from nothing.
};

struct Solver {
  absl::string_view name;
  // Errors: kResourceExhausted at the bound; kFailedPrecondition: the program has no optimum.
  absl::StatusOr<Solution> (*solve)(const LinearProgram& program, const Budget& budget) = nullptr;
};

// The solver of this build; null: it has none.
const Solver* BuiltInSolver();

// Whether the columns are numbers, keep all bounds, and cost what is said, within a millionth of
// the numbers involved. Errors: kInternal names the first that does not.
absl::Status CheckSolution(const LinearProgram& program, const Solution& solution);

}  // namespace wattle::solve

#endif  // WATTLE_SCHEDULER_SOLVE_SOLVER_H_
