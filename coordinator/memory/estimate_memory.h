// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Estimates a job's memory for the planner (core::MemoryEstimator) by models/memory_estimate.h.
// Thread-safe.
#ifndef WATTLE_COORDINATOR_MEMORY_ESTIMATE_MEMORY_H_
#define WATTLE_COORDINATOR_MEMORY_ESTIMATE_MEMORY_H_

#include "proto/peak_memory.h"
#include "scheduler/predict/data_memory.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// The peak memory of a runner for `spec` on a model of `shape` and these data.
PeakMemory EstimateJobMemory(const v1::JobSpec& spec, const v1::ModelShape& shape,
                             const scheduler::DataMemory& data);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_MEMORY_ESTIMATE_MEMORY_H_
