// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The means of a profile row and the runs that they stand for. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_ROW_MEANS_H_
#define WATTLE_SCHEDULER_PROFILES_ROW_MEANS_H_

#include <cstdint>
#include <vector>

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Finite and above 0.
[[nodiscard]] bool IsPositive(double value);

// Of the values above 0; of an even number the geometric mean of the two in the middle. 0: none.
[[nodiscard]] double MiddleOf(std::vector<double> values);

// Running mean of a plain number, where 0 means unknown. `count` includes this observation.
[[nodiscard]] double Blend(double before, double value, int64_t count);

// Counts the run in the row's means. What a change of the device makes untrue is counted here.
void CountRun(const v1::RunObservation& run, v1::ProfileRow* row);

// A contended run is held for its scores alone, without its seconds.
[[nodiscard]] bool IsMeasurement(const v1::RunObservation& run);

// The runs that are measurements of the device, oldest first.
[[nodiscard]] std::vector<v1::RunObservation> Measurements(const v1::ProfileRow& row);

// Whether the row has but the means of one contended run, which made it.
[[nodiscard]] bool IsOfAContendedRun(const v1::ProfileRow& row);

// Makes the row's means those of its last `runs` measurements.
void CountAnew(int runs, v1::ProfileRow* row);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_ROW_MEANS_H_
