// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The means of a profile row and the runs behind them. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_ROW_MEANS_H_
#define WATTLE_SCHEDULER_PROFILES_ROW_MEANS_H_

#include <cstdint>
#include <vector>

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Whether the value is finite and above 0.
[[nodiscard]] bool IsPositive(double value);

// Median of the values above 0; for an even count the geometric mean of the two middle values. 0:
// none.
[[nodiscard]] double MiddleOf(std::vector<double> values);

// Running mean of a plain number, where 0 means unknown. `count` includes this observation.
[[nodiscard]] double Blend(double before, double value, int64_t count);

// Counts the run in the row's means, which are the numbers that a change of the device invalidates.
void CountRun(const v1::RunObservation& run, v1::ProfileRow* row);

// Whether the run is a measurement; a contended run is kept only for its scores, without its
// seconds.
[[nodiscard]] bool IsMeasurement(const v1::RunObservation& run);

// The runs that are measurements of the device, oldest first.
[[nodiscard]] std::vector<v1::RunObservation> Measurements(const v1::ProfileRow& row);

// Whether the row has only the means of the one contended run that made it.
[[nodiscard]] bool IsOfAContendedRun(const v1::ProfileRow& row);

// Recomputes the row's means from its last `runs` measurements.
void CountAnew(int runs, v1::ProfileRow* row);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_ROW_MEANS_H_
