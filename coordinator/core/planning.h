// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Between the core's state and the scheduler: the snapshot that a plan is computed on, and the plan
// as a command. Pure; the snapshot is a value, so that planning may run on another thread.
#ifndef WATTLE_COORDINATOR_CORE_PLANNING_H_
#define WATTLE_COORDINATOR_CORE_PLANNING_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Peak memory of a runner for the spec on a model of this shape, 0: not known. Injected, because
// the core may not include formats/.
using MemoryEstimator = std::function<int64_t(const v1::JobSpec&, const v1::ModelShape&)>;

// What does not come from the state.
struct PlanningInputs {
  std::vector<v1::ProfileRow> published_rows;  // the papers' tables
  MemoryEstimator estimate_memory;             // empty: memory is not checked
};

// Queued jobs whose backoff is over, devices, profiles, policies, as of `now`; and the plan for
// them. `jobs` is in the order of the queue. Costs no I/O.
PlanComputed ComputePlan(const State& state, const Observations& observations,
                         const PlanningInputs& inputs, absl::Time now);

// A dry run of request.spec against the fleet. Errors as for SubmitJob.
absl::StatusOr<v1::PlanResponse> DryRun(const State& state, const Observations& observations,
                                        const PlanningInputs& inputs,
                                        const v1::PlanRequest& request, absl::Time now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PLANNING_H_
