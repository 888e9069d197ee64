// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The engine's memory (models/memory_estimate.h) for a job, as the planner wants it; see
// core::MemoryEstimator. Thread-safe.
#ifndef WATTLE_COORDINATOR_ESTIMATE_MEMORY_H_
#define WATTLE_COORDINATOR_ESTIMATE_MEMORY_H_

#include <cstdint>

#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// Peak bytes of a runner for `spec` on a model of `shape`; 0 where it cannot be told.
int64_t EstimateJobMemory(const v1::JobSpec& spec, const v1::ModelShape& shape);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_ESTIMATE_MEMORY_H_
