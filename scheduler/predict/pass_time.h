// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fixed time of passes in evaluation and generation. A token that is generated and a batch that
// is evaluated take one pass over the model each. A pass has a time that does not depend on the
// model's operations and bytes, and small models on fast boards spend most of their time there. A
// row's time per unit contains its own passes; a job with other batches or answers has another
// number of them. (The fixed cost of a training step is kStepFlopsPerParameter, workload_cost.h.)
// Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_PASS_TIME_H_
#define WATTLE_SCHEDULER_PREDICT_PASS_TIME_H_

#include "scheduler/predict/rate.h"
#include "scheduler/predict/work.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Standard deviation of the logarithm of PassSecondsPrior (datasheet.h): nine boards in ten are
// within a factor of 8 of it.
inline constexpr double kPassDeviation = 1.3;

// Passes of the whole job, in passes of one generated token. 0 for training and quantization.
double PassesOfWork(const WorkAmount& work);

// Passes of one unit of a row. Values that the row does not state are the job's.
double PassesPerUnit(const v1::ProfileRow& row, const WorkAmount& work);

// A row's time per unit in its two parts.
struct SplitRate {
  double seconds_per_cost = 0;
  double seconds_per_pass = 0;
  double pass_seconds_per_cost = 0;  // Time of the row's passes for one unit of its cost.
};

// Splits a row by the prior of the device. The passes take at most nine tenths of the row's time.
SplitRate SplitRow(const v1::ProfileRow& row, const RunQuery& query,
                   double step_flops_per_parameter);

// The time of a job in its two parts.
struct RunTime {
  double size_seconds = 0;
  double pass_seconds = 0;
  // Change of the seconds if the prior of a pass is wrong by a factor of e. 0 if row and job have
  // equally many passes for their cost.
  double pass_error_seconds = 0;
  [[nodiscard]] double seconds() const { return size_seconds + pass_seconds; }
};

// The time of a job of this cost. size_ratio: seconds for a unit of cost here over the row's;
// passes are assumed to take equally long.
RunTime TimeAtRate(const SplitRate& rate, double cost, double passes, double size_ratio);

// Standard deviation of the logarithm of the job's seconds, so that 90 % of all cases lie in the
// interval. size_deviation: deviation of the logarithm of size_seconds.
double CombinedDeviation(const RunTime& time, double size_deviation);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_PASS_TIME_H_
