// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Running attempts that leave their device because the rest costs less on another one. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_MOVES_H_
#define WATTLE_SCHEDULER_PLACE_MOVES_H_

#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/snapshot.h"
#include "units/id.h"

namespace wattle::scheduler {

struct GainfulMove {
  AttemptId attempt;
  DeviceId device;     // Where the rest is expected to run.
  std::string reason;  // One sentence with both costs.
  absl::Time leaves;   // When its board is expected to have handed it over.
  absl::Time begin;    // Expected begin of the rest there.
  absl::Time end;
};

// The attempts of Snapshot::running that gain by a move. A cost is by the job's objective. An
// attempt gains if its rest costs less on another device, with everything that the move takes:
//   - by more than a tenth of what the rest costs where it runs, and
//   - by more than three times the cost of hand-over and transfer.
// Both must hold at the upper end of the other device's prediction, so that a merely possible gain
// does not move a working attempt. A rest of less than five minutes stays.
// The other device is free until the rest would end at its upper quantile, so no place of the queue
// moves. Every rule of placement must allow the rest there, including its deadline at the upper
// quantile. A device whose prediction is too wide to be planned on gets no attempt in this way.
// Evaluates a bounded number of attempts and devices, which vary with the sequence number.
//
// loads: after the last job of the queue's plan. stay: attempts that leave for another reason.
std::vector<GainfulMove> MovesByGain(const Snapshot& snapshot, FleetLoads loads,
                                     const std::set<AttemptId>& stay);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_MOVES_H_
