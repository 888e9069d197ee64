// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A positive quantity as a sum of positive terms with unknown coefficients: seconds = a + b × batch
// + c / clock + d × batch / clock. The fit is of logarithms, so every coefficient stays positive
// and errors are relative. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_SUM_OF_TERMS_H_
#define WATTLE_SCHEDULER_PREDICT_SUM_OF_TERMS_H_

#include <vector>

namespace wattle::scheduler {

// The terms of one cell, without their coefficients, as logarithms.
using LogTerms = std::vector<double>;

// Logarithm of the sum, and the share of each term in it. A share is the derivative of the
// logarithm of the sum by the logarithm of the term's coefficient.
struct TermSum {
  double log_value = 0;
  std::vector<double> shares;
};
TermSum SumTerms(const std::vector<double>& log_coefficients, const LogTerms& terms);

struct TermPrior {
  std::vector<double> log_coefficients;
  double deviation = 1;        // Deviation of each coefficient's logarithm by itself.
  double level_deviation = 3;  // Common deviation of all coefficients' logarithms.
};

// The coefficients with the largest posterior density, by Gauss-Newton steps with Levenberg's
// damping. noise: deviation of a value's logarithm from the sum's.
std::vector<double> FitTerms(const std::vector<LogTerms>& terms,
                             const std::vector<double>& log_values, const TermPrior& prior,
                             double noise);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_SUM_OF_TERMS_H_
