// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Gaussian process (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006) over
// the cells of several boards. The process models the residual of a logarithm after a fitted sum of
// terms. The covariance has four parts: a deviation that all boards share, a deviation of the board
// itself, the error of the terms' coefficients on the predicted board, and noise, whose size
// differs for the predicted board. The first two are squared exponentials with a length scale for
// each number of a cell. The hyperparameters maximize the marginal likelihood times weak priors, by
// a search of fixed steps from a fixed start: the same observations give the same numbers. Pure;
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
  size_t board = 0;            // 0: the board to predict.
  std::vector<double> place;   // Logarithms of the cell's numbers, each scaled to deviation 1.
  std::vector<double> shares;  // Shares of the terms; empty for other boards.
  double residual = 0;         // Residual of the logarithm.
};

struct Hyperparameters {
  std::vector<double> log_scales;  // Logarithms of the length scales, one for each number of a
                                   // place.
  double log_own = 0;              // Logarithm of the board's own deviation.
  double log_coefficient = 0;
  double log_noise = 0;
  // Minus infinity if no other board has points: without others the shared part would be the
  // board's own part and count twice.
  double log_shared = -std::numeric_limits<double>::infinity();
  double log_noise_of_others = -std::numeric_limits<double>::infinity();

  [[nodiscard]] bool HasOthers() const { return std::isfinite(log_shared); }
};

class GaussianProcess {
 public:
  // coefficient_deviation: start value of the search for the deviation of the terms' coefficients.
  // If other boards have many points, only every n-th one is used to find the hyperparameters.
  // REQUIRES: points is not empty, and all places have one size.
  GaussianProcess(std::vector<ProcessPoint> points, double coefficient_deviation);

  struct Estimate {
    double mean = 0;
    double variance = 0;  // Without the noise of a run.
  };
  [[nodiscard]] Estimate At(const ProcessPoint& cell) const;
  [[nodiscard]] double noise_variance() const;

  // The reduction of the sum of all cells' variances by a run in each cell.
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
