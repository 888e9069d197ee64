// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds when a device became faster or slower for good: a fan has died, a new power supply, other
// software. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_CHANGE_POINT_H_
#define WATTLE_SCHEDULER_PROFILES_CHANGE_POINT_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace wattle::scheduler {

struct TimedRun {
  double at_unix_seconds = 0;
  double log_seconds = 0;  // Logarithm of the seconds for a unit of work.
};

// The runs of one row since the row began or its last change. The oldest runs are kept only as
// sums.
struct RowRuns {
  double earlier_count = 0;
  double earlier_mean = 0;     // Mean of the oldest runs' log_seconds.
  double earlier_squares = 0;  // Sum of the squares about that mean.
  std::vector<TimedRun> runs;  // Oldest first.
};

struct ChangePoint {
  double at_unix_seconds = 0;
  double log_ratio = 0;            // Logarithm of the seconds after the change over those before.
  std::vector<size_t> runs_after;  // One number for each row, in the order of the rows.
};

// The change that the runs of all rows of one device show together, or nullopt. A change moves the
// logarithms of all rows by the same amount. Two splits of the runs in time are compared by their
// likelihood ratio with the noise unknown; the best one is a change if it is far more likely than
// no change (Willsky and Jones, "A generalized likelihood ratio approach to the detection and
// estimation of jumps in linear systems", 1976). The slowest run after a slower split, or the
// fastest one after a faster split, is left out of the ratio. A single outlier is therefore no
// change, and a change needs two runs.
std::optional<ChangePoint> FindChangePoint(absl::Span<const RowRuns> rows);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_CHANGE_POINT_H_
