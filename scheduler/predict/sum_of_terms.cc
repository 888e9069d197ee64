// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/sum_of_terms.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>

#include "scheduler/predict/cholesky.h"

namespace wattle::scheduler {
namespace {

constexpr int kStepsMax = 60;
constexpr double kDampingMax = 1e8;

// Half of the sum that the fit minimizes, with its gradient and the Gauss-Newton form of its
// curvature.
struct Objective {
  double value = 0;
  std::vector<double> gradient;
  std::vector<double> curvature;
};

// `x` times the inverse of the prior's covariance, deviation² × I + level_deviation² × 1 1^T.
std::vector<double> Unlikeliness(const TermPrior& prior, const std::vector<double>& x) {
  const double own = prior.deviation * prior.deviation;
  const double level = prior.level_deviation * prior.level_deviation;
  double sum = 0;
  for (const double value : x) {
    sum += value;
  }
  // Sherman-Morrison formula for the inverse of a diagonal plus a rank-one matrix.
  const double shared = level * sum / (own + level * static_cast<double>(x.size()));
  std::vector<double> out;
  for (const double value : x) {
    out.push_back((value - shared) / own);
  }
  return out;
}

Objective ObjectiveAt(const std::vector<double>& coefficients, const std::vector<LogTerms>& terms,
                      const std::vector<double>& log_values, const TermPrior& prior, double noise) {
  const size_t size = coefficients.size();
  std::vector<double> offset(size);
  for (size_t k = 0; k < size; ++k) {
    offset[k] = coefficients[k] - prior.log_coefficients[k];
  }
  Objective objective;
  // The prior contributes a quadratic form: its gradient and its constant curvature.
  objective.gradient = Unlikeliness(prior, offset);
  objective.curvature.assign(size * size, 0.0);
  for (size_t k = 0; k < size; ++k) {
    objective.value += 0.5 * offset[k] * objective.gradient[k];
    std::vector<double> unit(size, 0.0);
    unit[k] = 1;
    const std::vector<double> row = Unlikeliness(prior, unit);
    std::copy(row.begin(), row.end(),
              objective.curvature.begin() + static_cast<std::ptrdiff_t>(k * size));
  }
  const double weight = 1 / (noise * noise);
  for (size_t i = 0; i < terms.size(); ++i) {
    const TermSum sum = SumTerms(coefficients, terms[i]);
    // Gauss-Newton: the derivative of the log sum by a log coefficient is the term's share, and
    // second derivatives are neglected.
    const double error = sum.log_value - log_values[i];
    objective.value += 0.5 * weight * error * error;
    for (size_t k = 0; k < size; ++k) {
      objective.gradient[k] += weight * error * sum.shares[k];
      for (size_t j = 0; j < size; ++j) {
        objective.curvature[k * size + j] += weight * sum.shares[k] * sum.shares[j];
      }
    }
  }
  return objective;
}

}  // namespace

TermSum SumTerms(const std::vector<double>& log_coefficients, const LogTerms& terms) {
  TermSum sum;
  double largest = -1e300;
  for (size_t k = 0; k < terms.size(); ++k) {
    sum.shares.push_back(log_coefficients[k] + terms[k]);
    largest = std::max(largest, sum.shares.back());
  }
  double total = 0;
  for (double& share : sum.shares) {
    // Relative to the largest term, so that no exponential overflows.
    share = std::exp(share - largest);
    total += share;
  }
  for (double& share : sum.shares) {
    share /= total;
  }
  sum.log_value = largest + std::log(total);
  return sum;
}

std::vector<double> FitTerms(const std::vector<LogTerms>& terms,
                             const std::vector<double>& log_values, const TermPrior& prior,
                             double noise) {
  std::vector<double> best = prior.log_coefficients;
  const size_t size = best.size();
  Objective at = ObjectiveAt(best, terms, log_values, prior, noise);
  double damping = 1e-3;
  for (int step = 0; step < kStepsMax && damping < kDampingMax; ++step) {
    std::vector<double> damped = at.curvature;
    for (size_t k = 0; k < size; ++k) {
      // Marquardt's scaling of the diagonal makes the damping independent of the terms' units.
      damped[k * size + k] *= 1 + damping;
    }
    const std::optional<Cholesky> factor = Cholesky::Of(damped, size);
    if (!factor.has_value()) {
      damping *= 10;
      continue;
    }
    const std::vector<double> move = factor->Solve(at.gradient);
    std::vector<double> trial = best;
    for (size_t k = 0; k < size; ++k) {
      trial[k] -= move[k];
    }
    Objective there = ObjectiveAt(trial, terms, log_values, prior, noise);
    // The quadratic model did not hold over this step: a stronger damping gives a shorter step.
    if (!(there.value < at.value)) {
      damping *= 10;
      continue;
    }
    // Stops once a step no longer lowers the objective noticeably.
    const bool settled = at.value - there.value < 1e-9 * (1 + at.value);
    best = std::move(trial);
    at = std::move(there);
    damping = std::max(1e-9, damping / 10);
    if (settled) {
      break;
    }
  }
  return best;
}

}  // namespace wattle::scheduler
