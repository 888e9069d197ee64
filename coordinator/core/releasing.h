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

// Whether the attempt may be released: it runs, its kind keeps checkpoints, its device is reachable
// and not drained, and the job left no device in the last hour, so that a job that moves repeatedly
// works at least an hour between moves.
bool MayRelease(const State& state, const Observations& observations, const v1::Attempt& attempt,
                const Instant& now);

// The expected wall time from a release until the device is free: the step under way, its
// checkpoint, and the checkpoint's way to the coordinator.
absl::Duration HandOverTime(const State& state, const v1::Attempt& attempt);

// The joules above idle of the hand-over.
Joules HandOverEnergy(const State& state, const v1::Attempt& attempt);

// Size of one checkpoint of the job; 0 if unknown.
double CheckpointBytes(const State& state, const v1::Job& job);

// What a plan needs to know about the attempt. remaining: wall time of its remaining work at the
// upper quantile. nullopt: MayRelease is false.
std::optional<scheduler::ReleasableAttempt> ReleasableOf(const State& state,
                                                         const Observations& observations,
                                                         const v1::Attempt& attempt,
                                                         absl::Duration remaining,
                                                         const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_RELEASING_H_
