// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Levels 1 to 3 of the predictor: rows of this very workload (method, architecture and sizes,
// quantization), at the same batch and length, or interpolated to them. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_SAME_WORKLOAD_H_
#define WATTLE_SCHEDULER_PREDICT_SAME_WORKLOAD_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"

#include "scheduler/predict/rate.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

// Method, model sizes and quantization agree; batch, length, engine and names do not matter.
bool SameWorkload(const v1::WorkloadSignature& a, const v1::WorkloadSignature& b);

// A row may serve a device: measured rows stay on their side of "emulated", a device's own row
// serves that device alone, published rows serve all of the class.
bool Serves(const v1::ProfileRow& row, const v1::DeviceInfo& device);

// Seconds per unit of cost, from rows of one workload on one device or class.
struct WorkloadRate {
  double seconds_per_cost = 0;
  double deviation = 0;
  double step_flops_per_parameter = 0;
  double power_watts = 0;                   // 0: not known.
  const v1::ProfileRow* nearest = nullptr;  // Never null.
  int rows = 0;
};

// Rate at the batch and length of `work` from all of `rows` (measured ones of the same workload,
// not empty). Nearer rows weigh more; where their batches differ they also tell the fixed cost of a
// step.
WorkloadRate InterpolateRate(const std::vector<const v1::ProfileRow*>& rows,
                             const WorkAmount& work);

// Best answer from measured rows of this workload on this device or its class, or none.
std::optional<RunEstimate> FromSameWorkload(const ProfileTable& table, const RunQuery& query);

// Standard deviation of the logarithm of the time for a batch or a length that the row specifies
// and the job leaves open, or the other way round. 0 where both specify it or both leave it open.
double WildcardDeviation(const v1::WorkloadSignature& row, const v1::WorkloadSignature& job);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_SAME_WORKLOAD_H_
