// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a job may leave the device of its attempt. A job moves only if a plan has another place for
// it: until then, a waiting attempt costs nothing and keeps its work. Pure.
#ifndef WATTLE_COORDINATOR_CORE_MOVING_H_
#define WATTLE_COORDINATOR_CORE_MOVING_H_

#include <optional>
#include <string>

#include "coordinator/core/state.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

struct Move {
  // True: the lease is over, and the attempt ends as soon as another place exists. False: the
  // coordinator can ask the device to hand the attempt over with its checkpoint.
  bool device_is_silent = false;
  std::string reason;
  // Even the lower bound of its probed remaining time ends after the job's deadline.
  bool misses_for_certain = false;
};

// Why and how the job may move; nullopt if the job stays, because it is not active, is released
// already, or its attempt goes on. An attempt moves when
//   - its device has been silent for longer than the attempt's lease,
//   - it is paused for longer than a policy of its device allows (pause_seconds_max), or
//   - it is paused, and the remaining work no longer fits before the job's deadline, or
//   - it was a probe, and its first steps show that the rest does not fit before the deadline.
std::optional<Move> MoveOf(const State& state, const Observations& observations,
                           const v1::JobRecord& record, const Instant& now);

// Expected remaining wall time of a live attempt if it runs without a pause.
absl::Duration RemainingTime(const State& state, const Observations& observations,
                             const v1::Attempt& attempt, Monotonic now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_MOVING_H_
