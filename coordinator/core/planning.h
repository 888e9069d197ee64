// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Converts the core's state to the scheduler's snapshot, and the plan to a command. Pure. The
// snapshot is a value, so that another thread may plan on it.
#ifndef WATTLE_COORDINATOR_CORE_PLANNING_H_
#define WATTLE_COORDINATOR_CORE_PLANNING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "proto/peak_memory.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/data_memory.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Peak memory of a runner for the spec with a model of this shape and these data. The caller
// injects this function, because the core may not include models/.
using MemoryEstimator = std::function<PeakMemory(const v1::JobSpec&, const v1::ModelShape&,
                                                 const scheduler::DataMemory&)>;

// The planner's inputs that are not in the state.
struct PlanningInputs {
  MemoryEstimator estimate_memory;             // empty: plans do not check memory
  std::vector<v1::Job> archived_sources = {};  // of a dry run; see SubmitJob
  // Number of boards of one site (label "site") that may fetch at once; the others wait.
  int transfers_per_site = 2;
};

// The snapshot at `now`: queued jobs whose backoff is over, active jobs that may leave their device
// (moving.h) or that wait on one and have not begun (queueing.h), devices and policies. REQUIRES:
// `state` outlives the snapshot, whose profiles point into it.
scheduler::Snapshot MakeSnapshot(const State& state, const Observations& observations,
                                 const PlanningInputs& inputs, const Instant& now);
// Whether a plan could start or move a job.
bool AnythingToPlan(const State& state, const Observations& observations, const Instant& now);
// Why the plan does not start the job now, for people. The text has no numbers that vary between
// plans. REQUIRES: the job waits for a device, or has none.
std::string WhyNotNow(const State& state, const scheduler::QueuePlacement& planned);
// The jobs that the plan does not start now.
std::map<JobId, WaitingJob> WaitingJobsOf(const State& state, const PlanComputed& plan);
PlanComputed ComputePlan(const scheduler::Snapshot& snapshot);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PLANNING_H_
