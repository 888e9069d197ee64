// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Running attempts that a plan may take from their device for another job's deadline. Such an
// attempt hands its checkpoint over, and its job waits in the queue again. Pure.
#ifndef WATTLE_COORDINATOR_CORE_RELEASING_H_
#define WATTLE_COORDINATOR_CORE_RELEASING_H_

#include <optional>

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"

namespace wattle::core {

// Whether the attempt may be released: it runs, its kind keeps checkpoints, its device answers and
// is not drained, and the job was not taken from a device in the last hour. So every hour of a job
// that leaves again and again has work in it.
bool MayRelease(const State& state, const Observations& observations, const v1::Attempt& attempt,
                const Instant& now);

// The expected wall time from a release until the device is free: the step under way, its
// checkpoint, and the checkpoint's way to the coordinator.
absl::Duration HandOverTime(const State& state, const v1::Attempt& attempt);

// The joules above idle of all this.
Joules HandOverEnergy(const State& state, const v1::Attempt& attempt);

// Of one checkpoint of the job; 0: not known.
double CheckpointBytes(const State& state, const v1::Job& job);

// What a plan must know of the attempt. remaining: of its work, wall time at the upper quantile.
// nullopt: MayRelease is false.
std::optional<scheduler::ReleasableAttempt> ReleasableOf(const State& state,
                                                         const Observations& observations,
                                                         const v1::Attempt& attempt,
                                                         absl::Duration remaining,
                                                         const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_RELEASING_H_
