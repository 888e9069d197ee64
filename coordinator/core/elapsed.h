// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Durations on the monotonic clock: leases, backoffs, pauses, the age of a job. A step of the wall
// clock changes none of them. An event of before this process counts from the process's start,
// because the monotonic clock of an earlier process means nothing here. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ELAPSED_H_
#define WATTLE_COORDINATOR_CORE_ELAPSED_H_

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

// Time since the job was submitted. For a job of before this process: its age by the wall clock at
// the process's start, plus the monotonic time since then.
absl::Duration JobAge(const State& state, const Observations& observations,
                      const v1::JobRecord& record, Monotonic now);
// Time since the job `number` ended, at `ended` by the wall clock. For a job that this process saw
// end, both durations are the monotonic time. For a job of before this process, `certain` is the
// monotonic time since the process's start. `expected` adds the wall clock's age at the start,
// which is wrong if the wall clock was wrong.
struct EndedTime {
  absl::Duration expected;
  absl::Duration certain;
};
EndedTime EndedFor(const State& state, const Instant& started, int64_t number, absl::Time ended,
                   Monotonic now);
// Whether the queued job still waits out its backoff after a failure.
bool InBackoff(const State& state, const Observations& observations, const v1::JobRecord& record,
               Monotonic now);
// For how long no device of the fleet could run the queued job; zero while one can.
absl::Duration ImpossibleFor(const State& state, const Observations& observations,
                             const v1::JobRecord& record, Monotonic now);

// Time since the attempt was placed, and since its last change of state.
absl::Duration SincePlaced(const State& state, const Observations& observations,
                           const AttemptId& attempt, Monotonic now);
absl::Duration SinceStateChange(const State& state, const Observations& observations,
                                const AttemptId& attempt, Monotonic now);
// For how long the attempt worked before its present state, as this process saw it: pauses do not
// count.
absl::Duration WorkedFor(const State& state, const AttemptId& attempt);
// Time since the attempt was released, in which the device could hand the attempt over: at most as
// long as the coordinator has listened without a break.
absl::Duration SinceReleased(const State& state, const Observations& observations,
                             const AttemptId& attempt, Monotonic now);
// The same since the latest of these: the release, more of the checkpoint came, the device
// connected.
absl::Duration SinceHandOverAdvanced(const State& state, const Observations& observations,
                                     const v1::Attempt& attempt, Monotonic now);
// Time since an attempt left the device for a gain; infinite: none did.
absl::Duration SinceLeftForGain(const State& state, const Observations& observations,
                                const DeviceId& device, Monotonic now);
// Whether the attempt's device has been silent for longer than the attempt's lease. The lease
// stands still while the device's owner holds it, as the last heartbeat told; the device counts its
// lease in the same way.
bool LeaseIsOver(const State& state, const Observations& observations, const v1::Attempt& attempt,
                 Monotonic now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ELAPSED_H_
