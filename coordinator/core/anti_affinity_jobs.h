// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jobs of one group run on boards of their own (JobSpec.apart): which jobs count, and where they
// are. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ANTI_AFFINITY_JOBS_H_
#define WATTLE_COORDINATOR_CORE_ANTI_AFFINITY_JOBS_H_

#include "absl/status/status.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "units/id.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Adds the groups of all open jobs, and of `asked`, to the snapshot; null: nothing is asked.
// REQUIRES: the snapshot has its devices.
void AddAntiAffinityGroups(const State& state, const v1::JobSpec* asked,
                           scheduler::Snapshot& snapshot);

// Whether the job may join its group: all jobs of a group are apart by the same label. Errors:
// kFailedPrecondition names the job that is apart by another one.
absl::Status CheckAntiAffinityGroup(const State& state, const v1::JobSpec& spec);

// Whether another job of the group has the device's place by now. A plan is older than the state.
bool IsPlaceTaken(const State& state, const v1::Job& job, const DeviceId& device);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ANTI_AFFINITY_JOBS_H_
