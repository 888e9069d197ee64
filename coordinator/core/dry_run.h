// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans a job against a fleet without a submit. Pure: nothing is stored.
#ifndef WATTLE_COORDINATOR_CORE_DRY_RUN_H_
#define WATTLE_COORDINATOR_CORE_DRY_RUN_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Plans request.spec, or the rest of an open job, against the fleet without its queue. Errors:
// those of SubmitJob; kNotFound and kFailedPrecondition for a job that is not open.
absl::StatusOr<v1::PlanResponse> DryRun(const State& state, const Observations& observations,
                                        const PlanningInputs& inputs,
                                        const v1::PlanRequest& request, const Instant& now);

// Checks that the fleet could ever run the job; submit calls this before Decide. OK for an empty
// fleet, because a device may join. Errors: kFailedPrecondition if no device can ever run the job,
// one line with the reason of the device that comes nearest; kInvalidArgument if the job would fail
// on every device.
absl::Status CheckPossible(const State& state, const Observations& observations,
                           const PlanningInputs& inputs, const v1::JobSpec& spec,
                           const Instant& now);

// Predicts the job on the device class that needs the fewest joules for it, whether or not a device
// may run it now; nullopt: no prediction exists. Evaluates one device of each class.
std::optional<v1::Prediction> PredictLeast(const State& state, const Observations& observations,
                                           const std::vector<v1::Job>& archived_sources,
                                           const v1::JobSpec& spec, const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DRY_RUN_H_
