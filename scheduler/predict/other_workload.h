// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Levels 3 to 5 of the predictor, for a workload that was never measured on this device or class:
// published rows, rows of other models scaled by their cost, and rows of other classes transferred
// through workloads that both classes have. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_OTHER_WORKLOAD_H_
#define WATTLE_SCHEDULER_PREDICT_OTHER_WORKLOAD_H_

#include <optional>

#include "scheduler/predict/rate.h"

namespace wattle::scheduler {

class ProfileTable;

// The estimate with the smaller deviation of two. The first is from the class's nearest row: a
// published row of this model, or another model's row scaled by cost. The second is from a row of
// this model on another class, times the ratio of both classes on the nearest shared workload. A
// published row of this model yields only to a transfer through a measured workload of similar size
// (a factor of 4).
std::optional<RunEstimate> FromOtherWorkloads(const ProfileTable& table, const RunQuery& query);

// Standard deviation of a row's rate from this job's, for measured, imported and published rows of
// the same or another model.
double DeviationFromWork(const v1::ProfileRow& row, const WorkAmount& work);

struct PowerEstimate {
  double power_watts = 0;
  double deviation = 0;
  std::string note;
  RowMode mode{};  // the row's power mode
};

// Gross watts under load, for estimates that have only a time: from any row of the device or its
// class, preferring the nearest method.
std::optional<PowerEstimate> PowerFromRows(const ProfileTable& table, const RunQuery& query);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_OTHER_WORKLOAD_H_
