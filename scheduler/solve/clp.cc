// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// COIN-OR CLP (Debian's coinor-libclp-dev), by its C interface: the dual simplex method. The
// library is opened when a program has to be solved, and never linked: it loads OpenBLAS, whose
// threads would start before main and would not inherit the signal mask that main sets.
#include <coin/Clp_C_Interface.h>
#include <dlfcn.h>

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

// The functions of CLP that are used here.
struct Clp {
  decltype(&Clp_newModel) new_model;
  decltype(&Clp_deleteModel) delete_model;
  decltype(&Clp_setLogLevel) set_log_level;
  decltype(&Clp_loadProblem) load_problem;
  decltype(&Clp_setMaximumIterations) set_maximum_iterations;
  decltype(&Clp_copyinStatus) copyin_status;
  decltype(&Clp_dual) dual;
  decltype(&Clp_status) status;
  decltype(&Clp_numberIterations) number_iterations;
  decltype(&Clp_objectiveValue) objective_value;
  decltype(&Clp_primalColumnSolution) primal_column_solution;
  decltype(&Clp_dualRowSolution) dual_row_solution;
  decltype(&Clp_statusArray) status_array;
};

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

// Null: the machine does not have the library.
const Clp* OpenClp() {
  static Clp clp;
  void* const library = dlopen("libClp.so.1", RTLD_NOW | RTLD_LOCAL);  // Stays open.
  const bool is_whole = library != nullptr && Find(library, "Clp_newModel", &clp.new_model) &&
                        Find(library, "Clp_deleteModel", &clp.delete_model) &&
                        Find(library, "Clp_setLogLevel", &clp.set_log_level) &&
                        Find(library, "Clp_loadProblem", &clp.load_problem) &&
                        Find(library, "Clp_setMaximumIterations", &clp.set_maximum_iterations) &&
                        Find(library, "Clp_copyinStatus", &clp.copyin_status) &&
                        Find(library, "Clp_dual", &clp.dual) &&
                        Find(library, "Clp_status", &clp.status) &&
                        Find(library, "Clp_numberIterations", &clp.number_iterations) &&
                        Find(library, "Clp_objectiveValue", &clp.objective_value) &&
                        Find(library, "Clp_primalColumnSolution", &clp.primal_column_solution) &&
                        Find(library, "Clp_dualRowSolution", &clp.dual_row_solution) &&
                        Find(library, "Clp_statusArray", &clp.status_array);
  return is_whole ? &clp : nullptr;
}

const Clp* LoadedClp() {
  static const Clp* const clp = OpenClp();
  return clp;
}

absl::StatusOr<Solution> SolveByClp(const LinearProgram& program, const Budget& budget) {
  const Clp& clp = *LoadedClp();  // Loaded, because BuiltInSolver checked.
  const std::unique_ptr<Clp_Simplex, void (*)(Clp_Simplex*)> model(clp.new_model(),
                                                                   clp.delete_model);
  clp.set_log_level(model.get(), 0);
  const Sparse sparse = SparseOf(program);
  std::vector<double> lower;
  std::vector<double> upper;
  for (const LinearProgram::Row& row : program.rows()) {
    lower.push_back(row.lower);
    upper.push_back(row.upper);
  }
  const size_t columns = program.columns().size();
  clp.load_problem(model.get(), static_cast<int>(columns), static_cast<int>(lower.size()),
                   sparse.begins.data(), sparse.rows.data(), sparse.factors.data(),
                   sparse.lower.data(), sparse.upper.data(), sparse.costs.data(), lower.data(),
                   upper.data());
  clp.set_maximum_iterations(model.get(), budget.iterations);
  const size_t shape = columns + lower.size();
  // The basis of a program of another shape would be read beyond its end.
  const bool is_warm = budget.start != nullptr && budget.start->size() == shape;
  if (is_warm) {
    clp.copyin_status(model.get(), budget.start->data());
  }
  // The dual simplex, because a changed right-hand side keeps the old basis dual feasible.
  clp.dual(model.get(), 0);
  switch (clp.status(model.get())) {
    case 0:
      break;
    case 3:
      return absl::ResourceExhaustedError(
          absl::StrCat("CLP ended at ", clp.number_iterations(model.get()), " iterations"));
    default:
      return absl::FailedPreconditionError(
          absl::StrCat("CLP found no optimum: status ", clp.status(model.get())));
  }
  Solution solution;
  solution.cost = clp.objective_value(model.get());
  const double* const values = clp.primal_column_solution(model.get());
  const double* const prices = clp.dual_row_solution(model.get());
  const unsigned char* const status = clp.status_array(model.get());
  // Copied, because the arrays belong to the model.
  solution.columns.assign(values, values + columns);
  solution.row_prices.assign(prices, prices + lower.size());
  solution.basis.assign(status, status + shape);
  return solution;
}

}  // namespace

const Solver* BuiltInSolver() {
  static constexpr Solver kClp = {.name = "clp", .solve = SolveByClp};
  return LoadedClp() == nullptr ? nullptr : &kClp;
}

}  // namespace wattle::solve
