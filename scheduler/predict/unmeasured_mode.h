// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predicts a workload in a power mode in which it was not measured, from the clocks, cores and
// memory of the modes in which it was (mode_regression.h). A row's runs record the numbers of their
// mode; for a row of an older version the device's list gives them by name. Pure; thread-safe: each
// thread caches answers, which depend only on the question.
#ifndef WATTLE_SCHEDULER_PREDICT_UNMEASURED_MODE_H_
#define WATTLE_SCHEDULER_PREDICT_UNMEASURED_MODE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "scheduler/predict/mode_regression.h"
#include "scheduler/predict/rate.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

// The work's time and watts in the device's present mode. Deviations are those of one run.
struct UnmeasuredMode {
  WorkloadRate nearest;  // The rows of the measured mode whose numbers are nearest.
  double run_seconds = 0;
  double time_deviation = 0;
  double power_watts = 0;  // 0: too few modes have watts.
  double power_deviation = 0;
  std::string words;  // "by the clocks of 2 measured modes of this device (7W, 15W)".
};

// The rows that give the shape of time and watts over the modes, besides the rows that give the
// level.
struct ModeTeachers {
  absl::string_view owner;                             // Owner of the level's rows, such as "this
                                                       // device".
  const ProfileTable::WorkloadRows* others = nullptr;  // Null: no other board's rows count.
};

// rows: of this workload in other modes than the device's present one, of one device or class; they
// give the level. nullopt if the modes' numbers are unknown, if no board measured two modes with
// different numbers, or if the clock is far from all measured ones.
std::optional<UnmeasuredMode> FromMeasuredModes(
    absl::Span<const ProfileTable::WorkloadRow* const> rows, const ModeTeachers& teachers,
    const RunQuery& query);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_UNMEASURED_MODE_H_
