// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/change_point.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace wattle::scheduler {
namespace {

// Prior of the noise of repeats: a deviation of 0.04 with the weight of four runs.
constexpr double kPriorDeviation = 0.04;
constexpr double kPriorRuns = 4;
// Logarithm of the likelihood ratio from which a split is a change. With normal noise, one split in
// 5,000 reaches it.
constexpr double kLikelihoodMin = 7;
// Splits are tried among the latest runs of the device. An older change was found when it was
// recent.
constexpr size_t kSplitsMax = 32;

struct PlacedRun {
  TimedRun run;
  size_t row = 0;
};

// Runs by their count, mean, and sum of squares about the mean.
struct Part {
  double count = 0;
  double mean = 0;
  double squares = 0;

  void Add(double value) {
    // Welford's update, which stays accurate for a small spread about a large mean.
    const double before = value - mean;
    count += 1;
    mean += before / count;
    squares += before * (value - mean);
  }
};

struct Fit {
  double log_ratio = 0;   // Size of the shift that fits all rows best.
  double likelihood = 0;  // Logarithm of the ratio to the likelihood of no shift.
  std::vector<Part> before;
};

std::vector<PlacedRun> InTime(absl::Span<const RowRuns> rows) {
  std::vector<PlacedRun> placed;
  for (size_t row = 0; row < rows.size(); ++row) {
    for (const TimedRun& run : rows[row].runs) {
      placed.push_back({run, row});
    }
  }
  std::stable_sort(placed.begin(), placed.end(), [](const PlacedRun& a, const PlacedRun& b) {
    return a.run.at_unix_seconds < b.run.at_unix_seconds;
  });
  return placed;
}

// Fits one shift of all rows between the runs before `split` and those from it on. The run at
// `left_out` counts on neither side.
Fit FitShift(absl::Span<const RowRuns> rows, const std::vector<PlacedRun>& placed, size_t split,
             size_t left_out) {
  Fit fit;
  for (const RowRuns& row : rows) {
    fit.before.push_back({row.earlier_count, row.earlier_mean, row.earlier_squares});
  }
  std::vector<Part> after(rows.size());
  for (size_t i = 0; i < placed.size(); ++i) {
    if (i != left_out) {
      (i < split ? fit.before : after)[placed[i].row].Add(placed[i].run.log_seconds);
    }
  }
  double weights = 0;
  // The prior counts as runs whose noise is known, so that two equal runs do not make the noise
  // zero.
  double squares = kPriorRuns * kPriorDeviation * kPriorDeviation;
  double runs = kPriorRuns;
  double weighted_squares = 0;
  for (size_t row = 0; row < rows.size(); ++row) {
    const Part& old = fit.before[row];
    const Part& young = after[row];
    if (old.count > 0 && young.count > 0) {
      // The inverse variance of the row's shift, in units of the noise: the best weights for one
      // common shift.
      const double weight = 1 / (1 / old.count + 1 / young.count);
      const double shift = young.mean - old.mean;
      weights += weight;
      fit.log_ratio += weight * shift;
      weighted_squares += weight * shift * shift;
      squares += old.squares + young.squares;
      runs += old.count + young.count - 1;
    }
  }
  if (weights > 0) {
    fit.log_ratio /= weights;
    // With normal noise of unknown size the log likelihood ratio is n/2 ln(1 + explained /
    // unexplained squares).
    const double explained = weights * fit.log_ratio * fit.log_ratio;
    fit.likelihood = runs / 2 * std::log1p(explained / (squares + weighted_squares - explained));
  }
  return fit;
}

// The run from `split` on that lies farthest in the direction of the shift.
size_t FarthestRun(const std::vector<PlacedRun>& placed, size_t split, const Fit& fit) {
  size_t farthest = placed.size();
  double distance = 0;
  for (size_t i = split; i < placed.size(); ++i) {
    const Part& before = fit.before[placed[i].row];
    const double shift =
        std::copysign(1.0, fit.log_ratio) * (placed[i].run.log_seconds - before.mean);
    if (before.count > 0 && (farthest == placed.size() || shift > distance)) {
      farthest = i;
      distance = shift;
    }
  }
  return farthest;
}

}  // namespace

std::optional<ChangePoint> FindChangePoint(absl::Span<const RowRuns> rows) {
  const std::vector<PlacedRun> placed = InTime(rows);
  // Older splits were tested when their runs were the latest.
  const size_t oldest = placed.size() > kSplitsMax ? placed.size() - kSplitsMax : 0;
  std::optional<ChangePoint> best;
  double best_likelihood = kLikelihoodMin;
  size_t best_split = 0;
  for (size_t split = oldest; split < placed.size(); ++split) {
    const Fit fit = FitShift(rows, placed, split, placed.size());
    if (fit.likelihood <= best_likelihood) {
      continue;
    }
    // Judged without the most extreme run, so that a single outlier is no change; the shift
    // itself uses all runs.
    const double likelihood =
        FitShift(rows, placed, split, FarthestRun(placed, split, fit)).likelihood;
    if (likelihood > best_likelihood) {
      best_likelihood = likelihood;
      best_split = split;
      best = ChangePoint{placed[split].run.at_unix_seconds, fit.log_ratio, {}};
    }
  }
  if (best.has_value()) {
    best->runs_after.resize(rows.size());
    for (size_t i = best_split; i < placed.size(); ++i) {
      ++best->runs_after[placed[i].row];
    }
  }
  return best;
}

}  // namespace wattle::scheduler
