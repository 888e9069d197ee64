// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Levels 1 to 3 of the predictor: rows of this workload (method, architecture and sizes,
// quantization) at the same batch and length, or interpolated to them. The rows are the device's,
// its class's, and imported rows of the class. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_SAME_WORKLOAD_H_
#define WATTLE_SCHEDULER_PREDICT_SAME_WORKLOAD_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/predict/pass_time.h"
#include "scheduler/predict/rate.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

// Whether method, model sizes and quantization agree. Batch, length, engine and names do not
// matter.
bool SameWorkload(const v1::WorkloadSignature& a, const v1::WorkloadSignature& b);

// Whether the row was measured at the job's batch and length. False for a job that omits one of
// them: no single row serves such a job best.
inline bool IsAtBatchAndLength(const ProfileTable::WorkloadRow& row,
                               const v1::WorkloadSignature& job) {
  return row.batch_size == job.batch_size() && row.length == job.sequence_length() &&
         job.batch_size() > 0 && job.sequence_length() > 0;
}

// Whether a row may serve a device. A measured row serves only devices with the same `emulated`,
// and a device's own row serves only that device. A published row serves all devices of its class.
bool Serves(const v1::ProfileRow& row, const v1::DeviceInfo& device);

// Seconds per unit of cost, from rows of one workload on one device or class.
struct WorkloadRate {
  SplitRate seconds;
  double deviation = 0;
  double step_flops_per_parameter = 0;
  double power_watts = 0;                   // 0: unknown.
  const v1::ProfileRow* nearest = nullptr;  // Never null.
  int rows = 0;
};

// The rate at the batch and length of the job from all `rows`. Nearer rows weigh more. Rows of
// different batches also determine the fixed cost of a step. REQUIRES: `rows` is not empty and has
// measured rows of one workload, here or in another fleet.
WorkloadRate InterpolateRate(absl::Span<const v1::ProfileRow* const> rows, const RunQuery& query);

// The best estimate from measured rows of this workload on this device or its class, else from
// imported ones; nullopt if there are none.
std::optional<RunEstimate> FromSameWorkload(const ProfileTable& table, const RunQuery& query);

// Whether the work was measured here on this device or its class, at any batch and length and in
// any power mode.
bool IsMeasured(const ProfileTable& table, const RunQuery& query);

// Standard deviation of the logarithm of the time when one of row and job specifies the batch or
// the length and the other does not; 0 when both or neither specify it.
double WildcardDeviation(const v1::WorkloadSignature& row, const v1::WorkloadSignature& job);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_SAME_WORKLOAD_H_
