// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Writes cells as places and terms, fits the terms of each board, and fits a Gaussian process to
// the residuals, once for seconds and once for watts.
#include "scheduler/predict/mode_regression.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "scheduler/predict/sum_of_terms.h"
#include "scheduler/profiles/calibration.h"

namespace wattle::scheduler {
namespace {

constexpr size_t kNumbers = 6;
constexpr std::array<const char*, kNumbers> kNames = {"clock_mhz", "cores",  "memory_mhz",
                                                      "batch",     "length", "units"};
enum Number : size_t { kClock, kCores, kMemory, kBatch, kLength, kUnits };

// Observations of other boards beyond this many are thinned out.
constexpr size_t kOthersMax = 200;
// Deviation of runs from the sum of terms, used only in the fit of the terms.
constexpr double kTermsNoise = 0.05;
// Deviation of a coefficient's logarithm from other boards' value, and without other boards.
constexpr double kCoefficientOfOthers = 0.5;
constexpr double kCoefficientAlone = 1.0;
// Deviation of a coefficient's logarithm in the fit of a board's own terms to many observations.
constexpr double kCoefficientFree = 2.0;
// The priors of the hyperparameters in degrees of freedom: the logarithm of a deviation known from
// n degrees of freedom has itself a deviation of 1 / √(2 n), and the noise's prior has 0.7.
constexpr double kPriorDegreesOfFreedom = 1;

using Numbers = std::array<double, kNumbers>;

Numbers NumbersOf(const ModeCell& cell) {
  return {cell.clock_mhz, cell.cores, cell.memory_mhz, cell.batch, cell.length, cell.units};
}

bool SameCell(const ModeCell& a, const ModeCell& b) {
  return NumbersOf(a) == NumbersOf(b);
}

// The numbers that differ between cells, and how they are scaled.
struct Axes {
  std::vector<size_t> numbers;
  Numbers log_means{};
  Numbers log_deviations{};
  Numbers smallest{};

  [[nodiscard]] bool Has(size_t number) const {
    return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
  }
};

absl::StatusOr<Axes> AxesOf(const std::vector<ModeCell>& cells) {
  Axes axes;
  for (size_t number = 0; number < kNumbers; ++number) {
    double sum = 0;
    double squares = 0;
    axes.smallest[number] = NumbersOf(cells.front())[number];
    for (const ModeCell& cell : cells) {
      const double value = NumbersOf(cell)[number];
      // A number that only some cells have could not be compared between cells.
      if (!std::isfinite(value) || value < 0 ||
          (value > 0) != (NumbersOf(cells.front())[number] > 0)) {
        return absl::InvalidArgumentError(absl::StrFormat(
            "a cell has %s %g; wanted a positive number in every cell, or 0 in every cell",
            kNames[number], value));
      }
      const double log = value > 0 ? std::log(value) : 0;
      sum += log;
      squares += log * log;
      axes.smallest[number] = std::min(axes.smallest[number], value);
    }
    const double mean = sum / static_cast<double>(cells.size());
    const double variance = squares / static_cast<double>(cells.size()) - mean * mean;
    axes.log_means[number] = mean;
    axes.log_deviations[number] = std::sqrt(std::max(0.0, variance));
    // A number that is equal in all cells carries no information and gets no axis.
    if (axes.log_deviations[number] > 1e-6) {
      axes.numbers.push_back(number);
    }
  }
  return axes;
}

std::vector<double> PlaceOf(const ModeCell& cell, const Axes& axes) {
  std::vector<double> place;
  for (const size_t number : axes.numbers) {
    place.push_back((std::log(NumbersOf(cell)[number]) - axes.log_means[number]) /
                    axes.log_deviations[number]);
  }
  return place;
}

// The products of each of `a` with each of `b`, as logarithms.
LogTerms Products(const LogTerms& a, const LogTerms& b) {
  LogTerms products;
  for (const double x : a) {
    for (const double y : b) {
      products.push_back(x + y);
    }
  }
  return products;
}

// Work grows with batch, length, units and their products (attention: with squares of tokens). Each
// part runs at the speed of the processor's clock, of the cores, of the memory, or of none of them.
LogTerms TimeTerms(const ModeCell& cell, const Axes& axes) {
  const Numbers numbers = NumbersOf(cell);
  LogTerms sizes = {0};
  for (const size_t a : axes.numbers) {
    if (a < kBatch) {
      continue;
    }
    sizes.push_back(std::log(numbers[a]));
    for (const size_t b : axes.numbers) {
      // Squares model attention, which is quadratic in tokens but linear in the batch.
      if (b > a || (b == a && a != kBatch)) {
        sizes.push_back(std::log(numbers[a]) + std::log(numbers[b]));
      }
    }
  }
  LogTerms rates = {0};
  for (const size_t a : {kClock, kCores, kMemory}) {
    if (axes.Has(a)) {
      rates.push_back(-std::log(numbers[a]));
    }
  }
  return Products(sizes, rates);
}

// Watts grow with the clock and with its cube (clock × voltage²), with the cores and the memory's
// clock, and with the board's utilization, which is higher the larger the work is.
LogTerms WattsTerms(const ModeCell& cell, const Axes& axes) {
  const Numbers numbers = NumbersOf(cell);
  LogTerms rates = {0};
  if (axes.Has(kClock)) {
    rates.push_back(std::log(numbers[kClock]));
    rates.push_back(3 * std::log(numbers[kClock]));
  }
  for (const size_t a : {kCores, kMemory}) {
    if (axes.Has(a)) {
      rates.push_back(std::log(numbers[a]));
    }
  }
  LogTerms busy = {0};
  for (const size_t a : axes.numbers) {
    if (a >= kBatch) {
      // A saturating term: half at the smallest size, near one for large work.
      busy.push_back(std::log(numbers[a] / (numbers[a] + axes.smallest[a])));
    }
  }
  return Products(rates, busy);
}

// One logarithm of one cell, measured or to predict.
struct Sample {
  std::string board;
  std::vector<double> place;
  LogTerms terms;
  double log_value = 0;
};

// Coefficients that make every term equally large in the middle of the samples.
std::vector<double> EvenCoefficients(const std::vector<Sample>& samples) {
  std::vector<double> even(samples.front().terms.size(), 0.0);
  const auto count = static_cast<double>(samples.size());
  for (const Sample& sample : samples) {
    for (size_t k = 0; k < even.size(); ++k) {
      even[k] += (sample.log_value - sample.terms[k]) / count;
    }
  }
  for (double& coefficient : even) {
    // Divides the mean value equally among the terms.
    coefficient -= std::log(static_cast<double>(even.size()));
  }
  return even;
}

std::vector<double> FitOf(const std::vector<Sample>& samples, const TermPrior& prior) {
  std::vector<LogTerms> terms;
  std::vector<double> log_values;
  for (const Sample& sample : samples) {
    terms.push_back(sample.terms);
    log_values.push_back(sample.log_value);
  }
  return FitTerms(terms, log_values, prior, kTermsNoise);
}

// The terms of the asked board: the point of linearization and the prior there.
struct BoardTerms {
  std::vector<double> fitted;
  std::vector<double> expected;
  double deviation = kCoefficientAlone;

  // The expected logarithm by the tangent at the fitted coefficients.
  [[nodiscard]] double Expected(const TermSum& at) const {
    double sum = at.log_value;
    for (size_t k = 0; k < fitted.size(); ++k) {
      sum += at.shares[k] * (expected[k] - fitted[k]);
    }
    return sum;
  }
};

// The board's coefficients from its own samples and the mean of the other boards' coefficients.
BoardTerms TermsOfBoard(const std::vector<Sample>& own,
                        const std::vector<std::vector<double>>& of_others,
                        const std::vector<Sample>& all) {
  BoardTerms board;
  if (of_others.empty()) {
    board.expected = EvenCoefficients(all);
  } else {
    board.deviation = kCoefficientOfOthers;
    board.expected.assign(of_others.front().size(), 0.0);
    for (const std::vector<double>& other : of_others) {
      for (size_t k = 0; k < other.size(); ++k) {
        board.expected[k] += other[k] / static_cast<double>(of_others.size());
      }
    }
  }
  // Few own samples stay near the expectation; many override it.
  board.fitted = FitOf(own, {board.expected, board.deviation});
  // The board's level is independent of the others.
  double level = 0;
  for (const Sample& sample : own) {
    const TermSum sum = SumTerms(board.fitted, sample.terms);
    level += (sum.log_value - board.Expected(sum)) / static_cast<double>(own.size());
  }
  for (double& coefficient : board.expected) {
    coefficient += level;
  }
  return board;
}

class QuantityFit {
 public:
  QuantityFit(const std::vector<Sample>& samples, const std::string& board) {
    std::map<std::string, std::vector<Sample>> of_others;
    std::vector<Sample> own;
    for (const Sample& sample : samples) {
      (sample.board == board ? own : of_others[sample.board]).push_back(sample);
    }
    std::vector<std::vector<double>> coefficients;
    std::vector<ProcessPoint> points;
    size_t number = 0;
    for (const auto& [name, theirs] : of_others) {
      ++number;
      coefficients.push_back(FitOf(theirs, {EvenCoefficients(theirs), kCoefficientFree}));
      for (const Sample& sample : theirs) {
        const TermSum sum = SumTerms(coefficients.back(), sample.terms);
        // The process models only the residuals after the terms; each board keeps its own
        // coefficients.
        points.push_back({number, sample.place, {}, sample.log_value - sum.log_value});
      }
    }
    terms_ = TermsOfBoard(own, coefficients, samples);
    for (const Sample& sample : own) {
      points.push_back(PointOf(sample));
    }
    degrees_of_freedom_ = kPriorDegreesOfFreedom + static_cast<double>(own.size());
    process_.emplace(std::move(points), terms_.deviation);
  }

  // Mean and variance of the logarithm in a run.
  [[nodiscard]] GaussianProcess::Estimate At(const Sample& cell) const {
    const TermSum sum = SumTerms(terms_.fitted, cell.terms);
    GaussianProcess::Estimate estimate = process_->At({0, cell.place, sum.shares, 0});
    estimate.mean += terms_.Expected(sum);
    // The estimate is for one run, so the run's noise is part of its variance.
    estimate.variance += process_->noise_variance();
    // The noise is estimated from the board's own points, so an error has Student's distribution,
    // not a normal one. The deviation is widened to that distribution's 90 % interval, by the first
    // term of Cornish and Fisher's expansion, (z² + 1) / 4 for each degree of freedom.
    const double widening = 1 + (kInterval90 * kInterval90 + 1) / 4 / degrees_of_freedom_;
    estimate.variance *= widening * widening;
    return estimate;
  }

  [[nodiscard]] std::vector<double> Reductions(const std::vector<Sample>& cells) const {
    std::vector<ProcessPoint> points;
    for (const Sample& cell : cells) {
      points.push_back(PointOf(cell));
    }
    return process_->Reductions(points);
  }

 private:
  [[nodiscard]] ProcessPoint PointOf(const Sample& sample) const {
    const TermSum sum = SumTerms(terms_.fitted, sample.terms);
    return {0, sample.place, sum.shares, sample.log_value - terms_.Expected(sum)};
  }

  BoardTerms terms_;
  double degrees_of_freedom_ = 0;
  std::optional<GaussianProcess> process_;
};

absl::Status CheckObservations(absl::Span<const ModeObservation> observations,
                               const std::vector<ModeCell>& cells) {
  if (observations.empty() || cells.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("modes by numbers: ", observations.size(),
                                                   " observations and ", cells.size(),
                                                   " cells; wanted at least one of each"));
  }
  for (const ModeObservation& seen : observations) {
    if (!std::isfinite(seen.seconds) || seen.seconds <= 0 || !std::isfinite(seen.watts) ||
        seen.watts < 0) {
      return absl::InvalidArgumentError(
          absl::StrFormat("an observation of %s has %g s and %g W; wanted seconds above 0, and "
                          "watts above 0 or 0 for no sensor",
                          seen.board, seen.seconds, seen.watts));
    }
  }
  return absl::OkStatus();
}

// All observations of the board, and at most kOthersMax of the others, evenly spaced.
std::vector<ModeObservation> Thinned(absl::Span<const ModeObservation> observations,
                                     const std::string& board) {
  const auto others = static_cast<size_t>(
      std::count_if(observations.begin(), observations.end(),
                    [&](const ModeObservation& seen) { return seen.board != board; }));
  // An even stride keeps the result deterministic and all boards represented.
  const size_t stride = std::max<size_t>(1, (others + kOthersMax - 1) / kOthersMax);
  std::vector<ModeObservation> kept;
  size_t count = 0;
  for (const ModeObservation& seen : observations) {
    if (seen.board == board || count++ % stride == 0) {
      kept.push_back(seen);
    }
  }
  return kept;
}

}  // namespace

absl::StatusOr<ModeRegression> ModeRegression::Learn(absl::Span<const ModeObservation> observations,
                                                     const std::string& board,
                                                     const std::vector<ModeCell>& cells) {
  WATTLE_RETURN_IF_ERROR(CheckObservations(observations, cells));
  const std::vector<ModeObservation> kept = Thinned(observations, board);
  // The axes cover measured and asked cells together, so that both use one scale.
  std::vector<ModeCell> all_cells = cells;
  for (const ModeObservation& seen : kept) {
    all_cells.push_back(seen.cell);
  }
  WATTLE_ASSIGN_OR_RETURN(const Axes axes, AxesOf(all_cells));

  ModeRegression regression;
  regression.estimates_.resize(cells.size());
  regression.reductions_.assign(cells.size(), 0.0);
  for (const ModeCell& cell : cells) {
    regression.measured_.push_back(
        std::any_of(kept.begin(), kept.end(), [&](const ModeObservation& seen) {
          return seen.board == board && SameCell(seen.cell, cell);
        }));
  }
  for (const bool time : {true, false}) {
    const auto terms_of = time ? TimeTerms : WattsTerms;
    std::vector<Sample> samples;
    for (const ModeObservation& seen : kept) {
      if (time || seen.watts > 0) {
        samples.push_back({seen.board, PlaceOf(seen.cell, axes), terms_of(seen.cell, axes),
                           std::log(time ? seen.seconds : seen.watts)});
      }
    }
    if (samples.empty()) {
      continue;
    }
    std::vector<Sample> asked;
    for (const ModeCell& cell : cells) {
      asked.push_back({board, PlaceOf(cell, axes), terms_of(cell, axes), 0});
    }
    const QuantityFit fit(samples, board);
    const std::vector<double> reductions = fit.Reductions(asked);
    for (size_t i = 0; i < cells.size(); ++i) {
      const GaussianProcess::Estimate at = fit.At(asked[i]);
      ModeEstimate& estimate = regression.estimates_[i];
      (time ? estimate.log_seconds : estimate.log_watts) = at.mean;
      (time ? estimate.log_seconds_deviation : estimate.log_watts_deviation) =
          std::sqrt(at.variance);
      estimate.has_watts = !time;
      regression.reductions_[i] += reductions[i];
    }
  }
  return regression;
}

std::optional<size_t> ModeRegression::NextToMeasure(absl::Span<const double> probe_joules) const {
  std::optional<size_t> best;
  for (size_t i = 0; i < reductions_.size(); ++i) {
    if (!measured_[i] && (!best.has_value() || reductions_[i] / probe_joules[i] >
                                                   reductions_[*best] / probe_joules[*best])) {
      best = i;
    }
  }
  return best;
}

}  // namespace wattle::scheduler
