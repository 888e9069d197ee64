// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Between the core's state and the scheduler: the snapshot that a plan is computed on, and the plan
// as a command. Pure; the snapshot is a value, so that planning may run on another thread.
#ifndef WATTLE_COORDINATOR_CORE_PLANNING_H_
#define WATTLE_COORDINATOR_CORE_PLANNING_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "coordinator/core/certain_failure.h"
#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Peak memory of a runner for the spec on a model of this shape, 0: not known. Injected, because
// the core may not include formats/.
using MemoryEstimator = std::function<int64_t(const v1::JobSpec&, const v1::ModelShape&)>;

// What does not come from the state.
struct PlanningInputs {
  MemoryEstimator estimate_memory;  // empty: memory is not checked
};

// Queued jobs whose backoff is over, active ones that may leave their device (moving.h), devices,
// policies, as of `now`. Its profiles are those of `state`, which must outlive it.
scheduler::Snapshot MakeSnapshot(const State& state, const Observations& observations,
                                 const PlanningInputs& inputs, const Instant& now);
// Whether a plan could do anything.
bool AnythingToPlan(const State& state, const Observations& observations, const Instant& now);
// Why the plan does not start the job now, for people; without numbers that differ from plan to
// plan. REQUIRES: it waits for a device, or has none.
std::string WhyNotNow(const State& state, const scheduler::QueuePlacement& planned);
PlanComputed ComputePlan(const scheduler::Snapshot& snapshot);

// What is known of each of the spec's inputs; of an output that is still to be made, as far as it
// can be foreseen. archived_sources: as in SubmitJob. Errors: kNotFound, kInvalidArgument, naming
// the field.
absl::StatusOr<std::vector<scheduler::InputView>> ForeseeInputs(
    const State& state, const v1::JobSpec& spec, const std::vector<v1::Job>& archived_sources = {});

// A dry run of request.spec against the fleet; the queue is not looked at. archived_sources: as in
// SubmitJob. Errors as for SubmitJob.
absl::StatusOr<v1::PlanResponse> DryRun(const State& state, const Observations& observations,
                                        const PlanningInputs& inputs,
                                        const v1::PlanRequest& request, const Instant& now,
                                        const std::vector<v1::Job>& archived_sources = {});

// OK unless no device of the (non-empty) fleet can ever run the job: kFailedPrecondition then, one
// line with the reason of the device that lacks least; kInvalidArgument where the job would fail on
// every device. For submit, before Decide.
absl::Status CheckPossible(const State& state, const Observations& observations,
                           const PlanningInputs& inputs, const v1::JobSpec& spec,
                           const Instant& now, const std::vector<v1::Job>& archived_sources = {});

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PLANNING_H_
