// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// COIN-OR CLP (Debian's coinor-libclp-dev), by its C interface: the dual simplex method.
#include <coin/Clp_C_Interface.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

#include "scheduler/solve/solver.h"

namespace wattle::solve {
namespace {

// CLP takes columns one behind the other.
struct Sparse {
  std::vector<CoinBigIndex> begins = {0};
  std::vector<int> rows;
  std::vector<double> factors;
  std::vector<double> lower;
  std::vector<double> upper;
  std::vector<double> costs;
};

Sparse SparseOf(const LinearProgram& program) {
  Sparse sparse;
  for (const LinearProgram::Column& column : program.columns()) {
    for (const LinearProgram::Term& term : column.terms) {
      sparse.rows.push_back(term.row);
      sparse.factors.push_back(term.factor);
    }
    sparse.begins.push_back(static_cast<CoinBigIndex>(sparse.rows.size()));
    sparse.lower.push_back(0);
    sparse.upper.push_back(column.upper);
    sparse.costs.push_back(column.cost);
  }
  return sparse;
}

absl::StatusOr<Solution> SolveByClp(const LinearProgram& program, const Budget& budget) {
  const std::unique_ptr<Clp_Simplex, void (*)(Clp_Simplex*)> model(Clp_newModel(), Clp_deleteModel);
  Clp_setLogLevel(model.get(), 0);
  const Sparse sparse = SparseOf(program);
  std::vector<double> lower;
  std::vector<double> upper;
  for (const LinearProgram::Row& row : program.rows()) {
    lower.push_back(row.lower);
    upper.push_back(row.upper);
  }
  const size_t columns = program.columns().size();
  Clp_loadProblem(model.get(), static_cast<int>(columns), static_cast<int>(lower.size()),
                  sparse.begins.data(), sparse.rows.data(), sparse.factors.data(),
                  sparse.lower.data(), sparse.upper.data(), sparse.costs.data(), lower.data(),
                  upper.data());
  Clp_setMaximumIterations(model.get(), budget.iterations);
  const size_t shape = columns + lower.size();
  const bool is_warm = budget.start != nullptr && budget.start->size() == shape;
  if (is_warm) {
    Clp_copyinStatus(model.get(), budget.start->data());
  }
  Clp_dual(model.get(), 0);
  switch (Clp_status(model.get())) {
    case 0:
      break;
    case 3:
      return absl::ResourceExhaustedError(
          absl::StrCat("CLP ended at ", Clp_numberIterations(model.get()), " iterations"));
    default:
      return absl::FailedPreconditionError(
          absl::StrCat("CLP found no optimum: status ", Clp_status(model.get())));
  }
  Solution solution;
  solution.cost = Clp_objectiveValue(model.get());
  const double* const values = Clp_primalColumnSolution(model.get());
  const double* const prices = Clp_dualRowSolution(model.get());
  const unsigned char* const status = Clp_statusArray(model.get());
  solution.columns.assign(values, values + columns);
  solution.row_prices.assign(prices, prices + lower.size());
  solution.basis.assign(status, status + shape);
  return solution;
}

}  // namespace

const Solver* BuiltInSolver() {
  static constexpr Solver kClp = {.name = "clp", .solve = SolveByClp};
  return &kClp;
}

}  // namespace wattle::solve
