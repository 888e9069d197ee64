// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/solve/solver.h"

#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"

namespace wattle::solve {
namespace {

constexpr double kTolerance = 1e-6;

bool IsWithin(double value, double lower, double upper, double scale) {
  const double slack = kTolerance * (1 + scale);
  return value >= lower - slack && value <= upper + slack;  // Both comparisons are false for NaN.
}

}  // namespace

int LinearProgram::AddRow(double lower, double upper) {
  rows_.push_back({.lower = lower, .upper = upper});
  return static_cast<int>(rows_.size()) - 1;
}

int LinearProgram::AddColumn(double cost, double upper, std::vector<Term> terms) {
  for (const Term& term : terms) {
    WATTLE_CHECK(0 <= term.row && static_cast<size_t>(term.row) < rows_.size(),
                 "a column's rows are there");
  }
  columns_.push_back({.cost = cost, .upper = upper, .terms = std::move(terms)});
  return static_cast<int>(columns_.size()) - 1;
}

absl::Status CheckSolution(const LinearProgram& program, const Solution& solution) {
  if (solution.columns.size() != program.columns().size() ||
      solution.row_prices.size() != program.rows().size()) {
    return absl::InternalError(absl::StrCat(
        "the solver answers ", solution.columns.size(), " columns and ", solution.row_prices.size(),
        " rows, the program has ", program.columns().size(), " and ", program.rows().size()));
  }
  std::vector<double> sums(program.rows().size(), 0);
  std::vector<double> scales(program.rows().size(), 0);
  double cost = 0;
  double scale = 0;
  for (size_t i = 0; i < solution.columns.size(); ++i) {
    const LinearProgram::Column& column = program.columns()[i];
    const double value = solution.columns[i];
    if (!IsWithin(value, 0, column.upper, std::abs(value))) {
      return absl::InternalError(
          absl::StrCat("the solver's column ", i, " is ", value, ", wanted 0 to ", column.upper));
    }
    cost += column.cost * value;
    scale += std::abs(column.cost * value);
    for (const LinearProgram::Term& term : column.terms) {
      sums[static_cast<size_t>(term.row)] += term.factor * value;
      // The tolerance is relative to the largest possible sum, because terms of both signs may
      // cancel.
      scales[static_cast<size_t>(term.row)] += std::abs(term.factor * value);
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    const LinearProgram::Row& row = program.rows()[i];
    if (!IsWithin(sums[i], row.lower, row.upper, scales[i])) {
      return absl::InternalError(absl::StrCat("the solver's row ", i, " is ", sums[i], ", wanted ",
                                              row.lower, " to ", row.upper));
    }
    if (!std::isfinite(solution.row_prices[i])) {
      return absl::InternalError(
          absl::StrCat("the solver's price of row ", i, " is ", solution.row_prices[i]));
    }
  }
  if (!IsWithin(solution.cost, cost, cost, scale)) {
    return absl::InternalError(
        absl::StrCat("the solver says a cost of ", solution.cost, ", its columns cost ", cost));
  }
  return absl::OkStatus();
}

}  // namespace wattle::solve
