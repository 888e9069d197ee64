// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/gaussian_process.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace wattle::scheduler {
namespace {

// Points of other boards used in the search for hyperparameters, whose cost grows with the cube of
// their number.
constexpr size_t kSearchPointsMax = 72;
// Deviation of the common error of all coefficients, the level of a board that is hardly measured.
constexpr double kLevelDeviation = 1;
constexpr double kNoiseDeviationMin = 1e-3;
constexpr double kFirstStep = 1;
constexpr int kHalvings = 3;  // halvings of the search's step

// A weak prior of a hyperparameter's logarithm, needed because a few points say little about most
// of them.
struct LogPrior {
  double mean;
  double deviation;
};
// A length scale is expected to be about the range of its number.
constexpr LogPrior kScalePrior = {0.7, 1.0};
// The residual of the terms is expected to be some per cent, like repeats (kRepeatDeviation).
constexpr LogPrior kSharedPrior = {-3.0, 1.5};
constexpr LogPrior kOwnPrior = {-3.0, 1.5};
constexpr LogPrior kNoisePrior = {-3.2, 0.7};
// Sensors and cooling differ, so the board's noise is only near that of the others.
constexpr double kNoiseOfBoardsDeviation = 0.7;
constexpr double kCoefficientPriorDeviation = 0.7;

double SquareOf(double value) {
  return value * value;
}

double SquaredDistance(const std::vector<double>& a, const std::vector<double>& b,
                       const std::vector<double>& inverse_squares) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += SquareOf(a[i] - b[i]) * inverse_squares[i];
  }
  return sum;
}

// The covariance of two cells without noise, with all exponentials taken once.
class Covariance {
 public:
  explicit Covariance(const Hyperparameters& of)
      : shared_(std::exp(2 * of.log_shared)),
        own_(std::exp(2 * of.log_own)),
        coefficient_(std::exp(2 * of.log_coefficient)) {
    for (const double log_scale : of.log_scales) {
      inverse_squares_.push_back(std::exp(-2 * log_scale));
    }
  }

  double operator()(const ProcessPoint& a, const ProcessPoint& b) const {
    const bool one_board = a.board == b.board;
    // Squared exponentials: cells with similar numbers have similar residuals, on one board more
    // than on two.
    double sum = (shared_ + (one_board ? own_ : 0)) *
                 std::exp(-0.5 * SquaredDistance(a.place, b.place, inverse_squares_));
    // An error of the terms' coefficients moves all cells of the predicted board by their shares,
    // and its level moves them equally.
    if (one_board && a.board == 0) {
      double common = 0;
      for (size_t k = 0; k < a.shares.size(); ++k) {
        common += a.shares[k] * b.shares[k];
      }
      sum += coefficient_ * common + SquareOf(kLevelDeviation);
    }
    return sum;
  }

 private:
  double shared_;
  double own_;
  double coefficient_;
  std::vector<double> inverse_squares_;
};

// Noise variance of a run of the predicted board, or of another board.
double NoiseVariance(const Hyperparameters& of, bool asked_board) {
  // The floor keeps the covariance well conditioned.
  return SquareOf(kNoiseDeviationMin) +
         std::exp(2 * (asked_board ? of.log_noise : of.log_noise_of_others));
}

std::optional<Cholesky> FactorOf(const std::vector<ProcessPoint>& points,
                                 const Hyperparameters& of) {
  const Covariance covariance(of);
  const size_t size = points.size();
  std::vector<double> matrix(size * size);
  for (size_t i = 0; i < size; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      matrix[i * size + j] = covariance(points[i], points[j]);
    }
    matrix[i * size + i] += NoiseVariance(of, points[i].board == 0);
  }
  return Cholesky::Of(std::move(matrix), size);
}

std::vector<double> ResidualsOf(const std::vector<ProcessPoint>& points) {
  std::vector<double> residuals;
  for (const ProcessPoint& point : points) {
    residuals.push_back(point.residual);
  }
  return residuals;
}

// The hyperparameters as one row of numbers, for the search.
std::vector<double*> NumbersIn(Hyperparameters* of) {
  std::vector<double*> numbers = {&of->log_own, &of->log_coefficient, &of->log_noise};
  if (of->HasOthers()) {
    numbers.push_back(&of->log_shared);
    numbers.push_back(&of->log_noise_of_others);
  }
  for (double& scale : of->log_scales) {
    numbers.push_back(&scale);
  }
  return numbers;
}

double LogPriorOf(const Hyperparameters& of, double coefficient_deviation) {
  const auto density = [](double value, LogPrior prior) {
    return -0.5 * SquareOf((value - prior.mean) / prior.deviation);
  };
  double sum =
      density(of.log_own, kOwnPrior) +
      density(of.log_coefficient, {std::log(coefficient_deviation), kCoefficientPriorDeviation});
  if (of.HasOthers()) {
    sum += density(of.log_shared, kSharedPrior) + density(of.log_noise_of_others, kNoisePrior) +
           density(of.log_noise, {of.log_noise_of_others, kNoiseOfBoardsDeviation});
  } else {
    sum += density(of.log_noise, kNoisePrior);
  }
  for (const double scale : of.log_scales) {
    sum += density(scale, kScalePrior);
  }
  return sum;
}

// Logarithm of the marginal likelihood times the priors, up to a constant.
double Evidence(const std::vector<ProcessPoint>& points, const Hyperparameters& of,
                double coefficient_deviation) {
  // Log marginal likelihood -(r' K^-1 r + ln |K|) / 2 by the Cholesky factor (Rasmussen and
  // Williams, algorithm 2.1).
  const std::optional<Cholesky> factor = FactorOf(points, of);
  if (!factor.has_value()) {
    return -1e300;
  }
  double squares = 0;
  for (const double value : factor->HalfSolve(ResidualsOf(points))) {
    squares += value * value;
  }
  return -0.5 * (squares + factor->LogDeterminant()) + LogPriorOf(of, coefficient_deviation);
}

// All points of the predicted board, and every n-th point of the others.
std::vector<ProcessPoint> SearchPoints(const std::vector<ProcessPoint>& points) {
  size_t others = 0;
  for (const ProcessPoint& point : points) {
    others += point.board == 0 ? 0 : 1;
  }
  // A fixed stride instead of random draws keeps the result deterministic.
  const size_t stride = std::max<size_t>(1, (others + kSearchPointsMax - 1) / kSearchPointsMax);
  std::vector<ProcessPoint> chosen;
  size_t seen = 0;
  for (const ProcessPoint& point : points) {
    if (point.board == 0 || seen++ % stride == 0) {
      chosen.push_back(point);
    }
  }
  return chosen;
}

// Coordinate search: moves each number up or down by a step while that improves the evidence, and
// halves the step when no move does.
Hyperparameters Search(const std::vector<ProcessPoint>& points, double coefficient_deviation) {
  Hyperparameters best;
  // Starts at the priors' means, so that few points stay near the priors.
  best.log_scales.assign(points.front().place.size(), kScalePrior.mean);
  if (std::any_of(points.begin(), points.end(),
                  [](const ProcessPoint& point) { return point.board != 0; })) {
    best.log_shared = kSharedPrior.mean;
    best.log_noise_of_others = kNoisePrior.mean;
  }
  best.log_own = kOwnPrior.mean;
  best.log_coefficient = std::log(coefficient_deviation);
  best.log_noise = kNoisePrior.mean;
  double evidence = Evidence(points, best, coefficient_deviation);
  for (int halvings = 0; halvings <= kHalvings; ++halvings) {
    const double step = std::ldexp(kFirstStep, -halvings);
    for (bool moved = true; moved;) {
      moved = false;
      for (double* const number : NumbersIn(&best)) {
        // Without derivatives: the number of hyperparameters is small, and the evidence is smooth.
        for (const double move : {step, -step}) {
          const double before = *number;
          *number += move;
          const double there = Evidence(points, best, coefficient_deviation);
          if (there > evidence + 1e-6) {
            evidence = there;
            moved = true;
            break;
          }
          *number = before;
        }
      }
    }
  }
  return best;
}

}  // namespace

GaussianProcess::GaussianProcess(std::vector<ProcessPoint> points, double coefficient_deviation)
    : points_(std::move(points)),
      hyperparameters_(Search(SearchPoints(points_), coefficient_deviation)),
      factor_(FactorOf(points_, hyperparameters_)) {
  // Factor and weights are computed once for all points; predictions then cost only products with
  // them.
  WATTLE_CHECK(factor_.has_value(), "the noise makes every covariance positive definite");
  weights_ = factor_->Solve(ResidualsOf(points_));
}

std::vector<double> GaussianProcess::CovariancesTo(const ProcessPoint& cell) const {
  const Covariance covariance(hyperparameters_);
  std::vector<double> covariances;
  for (const ProcessPoint& point : points_) {
    covariances.push_back(covariance(point, cell));
  }
  return covariances;
}

GaussianProcess::Estimate GaussianProcess::At(const ProcessPoint& cell) const {
  const std::vector<double> covariances = CovariancesTo(cell);
  Estimate estimate;
  for (size_t i = 0; i < covariances.size(); ++i) {
    estimate.mean += covariances[i] * weights_[i];
  }
  estimate.variance = Covariance(hyperparameters_)(cell, cell);
  // The points explain |L^-1 k|² of the prior variance (Rasmussen and Williams, algorithm 2.1).
  for (const double value : factor_->HalfSolve(covariances)) {
    estimate.variance -= value * value;
  }
  estimate.variance = std::max(estimate.variance, 0.0);
  return estimate;
}

double GaussianProcess::noise_variance() const {
  return NoiseVariance(hyperparameters_, /*asked_board=*/true);
}

std::vector<double> GaussianProcess::Reductions(const std::vector<ProcessPoint>& cells) const {
  const Covariance covariance(hyperparameters_);
  std::vector<std::vector<double>> halves;
  for (const ProcessPoint& cell : cells) {
    // Half-solved covariances make every posterior covariance one inner product.
    halves.push_back(factor_->HalfSolve(CovariancesTo(cell)));
  }
  // Posterior covariance of two cells.
  const auto left = [&](size_t a, size_t b) {
    double sum = covariance(cells[a], cells[b]);
    for (size_t i = 0; i < points_.size(); ++i) {
      sum -= halves[a][i] * halves[b][i];
    }
    return sum;
  };
  std::vector<double> reductions(cells.size(), 0.0);
  std::vector<double> variances(cells.size());
  for (size_t a = 0; a < cells.size(); ++a) {
    variances[a] = noise_variance() + std::max(0.0, left(a, a));
  }
  for (size_t a = 0; a < cells.size(); ++a) {
    for (size_t b = 0; b <= a; ++b) {
      // A noisy run in cell a lowers the variance of cell b by left(a, b)² / (left(a, a) + noise);
      // the matrix is symmetric, so one half is enough.
      const double square = SquareOf(left(a, b));
      reductions[a] += square / variances[a];
      reductions[b] += a == b ? 0 : square / variances[b];
    }
  }
  return reductions;
}

}  // namespace wattle::scheduler
