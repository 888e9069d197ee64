// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Durations on the monotonic clock: leases, backoffs, pauses, the age of a job. Steps of the wall
// clock change none of them. Events of earlier processes count from the start of this process,
// because monotonic clocks of different processes are not comparable. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ELAPSED_H_
#define WATTLE_COORDINATOR_CORE_ELAPSED_H_

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

// Time since the job was submitted. For a job of an earlier process: its age by the wall clock at
// the start of this process, plus the monotonic time since then.
absl::Duration JobAge(const State& state, const Observations& observations,
                      const v1::JobRecord& record, Monotonic now);
// Time since the job `number` ended, at `ended` by the wall clock. If this process saw the job end,
// both durations are the monotonic time. For a job of an earlier process, `certain` is the
// monotonic time since this process started, and `expected` adds the job's age at the start by the
// wall clock, which may have been wrong.
struct EndedTime {
  absl::Duration expected;
  absl::Duration certain;
};
EndedTime EndedFor(const State& state, const Instant& started, int64_t number, absl::Time ended,
                   Monotonic now);
// Whether the queued job still waits for the end of its backoff.
bool InBackoff(const State& state, const Observations& observations, const v1::JobRecord& record,
               Monotonic now);
// Time for which no device of the fleet could run the queued job; zero while one can.
absl::Duration ImpossibleFor(const State& state, const Observations& observations,
                             const v1::JobRecord& record, Monotonic now);

// Time since the attempt was placed, and since its last change of state.
absl::Duration SincePlaced(const State& state, const Observations& observations,
                           const AttemptId& attempt, Monotonic now);
absl::Duration SinceStateChange(const State& state, const Observations& observations,
                                const AttemptId& attempt, Monotonic now);
// Time that the attempt worked before its present state, as this process saw it, without pauses.
absl::Duration WorkedFor(const State& state, const AttemptId& attempt);
// Time since the attempt was released in which the device could hand it over: at most as long as
// the coordinator has listened without a break.
absl::Duration SinceReleased(const State& state, const Observations& observations,
                             const AttemptId& attempt, Monotonic now);
// Time since the latest of: the release, the last growth of the checkpoint's upload, the device's
// connection.
absl::Duration SinceHandOverAdvanced(const State& state, const Observations& observations,
                                     const v1::Attempt& attempt, Monotonic now);
// Time since an attempt left the device for a gain; infinite if none did.
absl::Duration SinceLeftForGain(const State& state, const Observations& observations,
                                const DeviceId& device, Monotonic now);
// Whether the attempt's device has been silent for longer than the attempt's lease. The lease does
// not run while the device's owner holds it, as the last heartbeat reported; the device counts its
// lease in the same way.
bool LeaseIsOver(const State& state, const Observations& observations, const v1::Attempt& attempt,
                 Monotonic now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ELAPSED_H_
