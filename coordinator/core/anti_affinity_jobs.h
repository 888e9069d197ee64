// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Anti-affinity: the jobs of a group run on different boards (JobSpec.apart). Finds which jobs
// count and where they run. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ANTI_AFFINITY_JOBS_H_
#define WATTLE_COORDINATOR_CORE_ANTI_AFFINITY_JOBS_H_

#include "absl/status/status.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "units/id.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Adds the groups of all open jobs, and of `asked` unless it is null, to the snapshot. REQUIRES:
// the snapshot has its devices.
void AddAntiAffinityGroups(const State& state, const v1::JobSpec* asked,
                           scheduler::Snapshot& snapshot);

// Checks that the job may join its group: all jobs of a group must use the same `apart` label.
// Errors: kFailedPrecondition names the job with another label.
absl::Status CheckAntiAffinityGroup(const State& state, const v1::JobSpec& spec);

// Whether another job of the group has taken the device's place since the plan was computed.
bool IsPlaceTaken(const State& state, const v1::Job& job, const DeviceId& device);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ANTI_AFFINITY_JOBS_H_
