// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a job may leave the device that its attempt is on. Only a plan that has a place for it moves
// it: without one, an attempt that waits costs nothing, and its work is kept. Pure.
#ifndef WATTLE_COORDINATOR_CORE_MOVING_H_
#define WATTLE_COORDINATOR_CORE_MOVING_H_

#include <optional>
#include <string>

#include "coordinator/core/state.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

struct Move {
  // Its lease is over: the attempt ends as soon as there is another place. Otherwise the device can
  // be asked to hand the attempt over with its checkpoint.
  bool device_is_silent = false;
  std::string reason;
};

// Nothing where the job stays: it is not active, is on its way already, or its attempt goes on.
// An attempt moves when
//   - nothing was heard of its device for longer than its lease,
//   - it is paused for longer than a policy of its device bears (pause_seconds_max), or
//   - it is paused, and what is left to do no longer fits before the job's deadline.
std::optional<Move> MoveOf(const State& state, const Observations& observations,
                           const v1::JobRecord& record, const Instant& now);

// Wall time that a live attempt is still expected to take, were it running.
absl::Duration RemainingTime(const State& state, const Observations& observations,
                             const v1::Attempt& attempt, Monotonic now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_MOVING_H_
