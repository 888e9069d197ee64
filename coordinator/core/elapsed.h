// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How long something has lasted, counted on the monotonic clock: leases, backoffs, pauses, the age
// of a job. A step of the wall clock changes none of them. What happened before this process
// started counts from its start, as the monotonic clock of an earlier process tells nothing. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ELAPSED_H_
#define WATTLE_COORDINATOR_CORE_ELAPSED_H_

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

// Time since the job was submitted. Of a job from before the process: what the wall clock said at
// the process's start, and the monotonic time since.
absl::Duration JobAge(const State& state, const Observations& observations,
                      const v1::JobRecord& record, Monotonic now);
// Time since the job `number` ended, at `ended` by the wall clock. A job that this process saw end
// has one monotonic time. Of a job from before the process, `expected` is what the wall clock said
// at the process's start and the monotonic time since; `certain` is the latter alone, for the wall
// clock may have been wrong.
struct EndedTime {
  absl::Duration expected;
  absl::Duration certain;
};
EndedTime EndedFor(const State& state, const Instant& started, int64_t number, absl::Time ended,
                   Monotonic now);
// The queued job still waits after a failure.
bool InBackoff(const State& state, const Observations& observations, const v1::JobRecord& record,
               Monotonic now);
// For how long no device of the fleet could ever run the queued job; zero where one could.
absl::Duration ImpossibleFor(const State& state, const Observations& observations,
                             const v1::JobRecord& record, Monotonic now);

// Time since the attempt was placed, since its last change of state, and since it was released.
absl::Duration SincePlaced(const State& state, const Observations& observations,
                           const AttemptId& attempt, Monotonic now);
absl::Duration SinceStateChange(const State& state, const Observations& observations,
                                const AttemptId& attempt, Monotonic now);
absl::Duration SinceReleased(const State& state, const Observations& observations,
                             const AttemptId& attempt, Monotonic now);
// The attempt's device was not heard of for longer than the lease.
bool LeaseIsOver(const State& state, const Observations& observations, const v1::Attempt& attempt,
                 Monotonic now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ELAPSED_H_
