// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Running attempts that a plan may take from their device because their rest costs less on another
// one (scheduler/place/moves.h). Such an attempt hands its checkpoint over, and its job waits in
// the queue again. Pure.
#ifndef WATTLE_COORDINATOR_CORE_MOVING_FOR_GAIN_H_
#define WATTLE_COORDINATOR_CORE_MOVING_FOR_GAIN_H_

#include <vector>

#include "coordinator/core/paused.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

// Whether the job's attempt may be released for a gain: MayRelease holds, its remaining work is
// known, it runs the job's own model, and no attempt left its device for a gain in the last hour.
bool MayMoveForGain(const State& state, const Observations& observations,
                    const v1::JobRecord& record, const Instant& now);

// Whether some device is free and some attempt may move.
bool MayMoveAnyForGain(const State& state, const Observations& observations, const Instant& now);

// The attempts that may move, and those that are being handed over for a gain. snapshot: has the
// devices and the queue, which contains none of these jobs.
std::vector<scheduler::RunningRest> RestsOf(const Outlook& outlook, const PlanningInputs& inputs,
                                            const scheduler::Snapshot& snapshot);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_MOVING_FOR_GAIN_H_
