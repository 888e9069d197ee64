// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Gaussian process (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006) over
// the cells of several boards, for what a fitted sum of terms leaves over of a logarithm. Its
// covariance has four parts: a deviation that all boards share, one of the board itself, the error
// of the terms' coefficients on the board that is asked about, and noise, of which the board has
// its own share. The first two are squared exponentials with a length scale for each number of a
// cell. The hyperparameters are those of the largest marginal likelihood times weak priors, by a
// search of fixed steps from a fixed start: the same observations give the same numbers. Pure;
// thread-compatible.
#ifndef WATTLE_SCHEDULER_PREDICT_GAUSSIAN_PROCESS_H_
#define WATTLE_SCHEDULER_PREDICT_GAUSSIAN_PROCESS_H_

#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

#include "scheduler/predict/cholesky.h"

namespace wattle::scheduler {

struct ProcessPoint {
  size_t board = 0;            // 0: the board that is asked about.
  std::vector<double> place;   // Logarithms of the cell's numbers, of deviation 1 each.
  std::vector<double> shares;  // Of the terms; empty for other boards.
  double residual = 0;         // Of the logarithm.
};

struct Hyperparameters {
  std::vector<double> log_scales;  // Of the length scales, one for each number of a place.
  double log_own = 0;              // Of the deviations.
  double log_coefficient = 0;
  double log_noise = 0;
  // Minus infinity where no other board has points: a part that is shared with nobody is the
  // board's own, and must not count twice.
  double log_shared = -std::numeric_limits<double>::infinity();
  double log_noise_of_others = -std::numeric_limits<double>::infinity();

  [[nodiscard]] bool HasOthers() const { return std::isfinite(log_shared); }
};

class GaussianProcess {
 public:
  // coefficient_deviation: where the search for that of the terms' coefficients begins. Of many
  // points of other boards, every n-th one decides the hyperparameters. REQUIRES: points is not
  // empty, and all places have one size.
  GaussianProcess(std::vector<ProcessPoint> points, double coefficient_deviation);

  struct Estimate {
    double mean = 0;
    double variance = 0;  // Without the noise of a run.
  };
  [[nodiscard]] Estimate At(const ProcessPoint& cell) const;
  [[nodiscard]] double noise_variance() const;

  // By how much a run in each cell would lower the sum of the variances of all cells.
  [[nodiscard]] std::vector<double> Reductions(const std::vector<ProcessPoint>& cells) const;

  [[nodiscard]] const Hyperparameters& hyperparameters() const { return hyperparameters_; }

 private:
  [[nodiscard]] std::vector<double> CovariancesTo(const ProcessPoint& cell) const;

  std::vector<ProcessPoint> points_;
  Hyperparameters hyperparameters_;
  std::optional<Cholesky> factor_;
  std::vector<double> weights_;  // Inverse covariance times residuals.
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_GAUSSIAN_PROCESS_H_
