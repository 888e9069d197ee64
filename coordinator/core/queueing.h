// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attempts that wait on a device behind its running one. Each is a real attempt with its own token.
// The device begins them in the order of the tokens, also without the coordinator. While the device
// is reachable, the coordinator may release an attempt that has not begun: the device reports the
// stop, so no job runs twice. Pure.
#ifndef WATTLE_COORDINATOR_CORE_QUEUEING_H_
#define WATTLE_COORDINATOR_CORE_QUEUEING_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/job.pb.h"

namespace wattle::core {

class DecisionBuilder;

// The attempts that the device should hold, in the order in which it begins them.
std::vector<const v1::Attempt*> AttemptsOn(const State& state, const DeviceId& device);
// Whether the attempt waits behind another one and is not known to have begun.
bool IsQueued(const State& state, const v1::Attempt& attempt);
// The attempt that the device begins before this one; "" if there is none.
std::string AheadOf(const State& state, const v1::Attempt& attempt);
// The latest attempt of the device that does not wait; null if there is none.
const v1::Attempt* RunningOn(const State& state, const DeviceId& device);
// Whether the coordinator may ask the device to return the waiting attempt.
bool MayWithdraw(const State& state, const Observations& observations, const v1::Attempt& attempt,
                 Monotonic now);

// Number of attempts that may wait on the device behind its running one, by its policies.
int QueueDepth(const State& state, const v1::DeviceInfo& device);
// Number of further attempts that may wait; negative if too many do; 0 for a device that gets none
// now.
int QueueRoom(const State& state, const Observations& observations, const DeviceId& device,
              Monotonic now);

// Chooses, from the places of a plan, which jobs go to a busy device to wait there
// (QueuePlacement.queue), and which waiting attempts leave their device (withdraw). A job goes to
// the device if all jobs planned there before it are there already. An attempt leaves if the plan
// starts its job elsewhere at once, if a job with a deadline or of a higher priority is to go
// before it, if the device holds too many, or if its turn comes soon and the plan starts it later:
// the device would begin it in its turn, without the charge that the plan waits for. A job for
// which the last is true goes to no device. free_at: see QueueAndMoves.
void ChooseQueued(const scheduler::Snapshot& snapshot, const std::vector<absl::Time>& free_at,
                  std::vector<scheduler::QueuePlacement>& jobs);

// Attempts that one decision has put on devices beyond the state.
struct NewlyQueued {
  std::map<DeviceId, std::vector<std::string>> attempts;
  std::map<DeviceId, double> lease_seconds;
};
// Whether the job may go to the device of its place and wait there: the device's attempt stays, the
// queue behind it has room, and the job's files fit beside those of the attempts before it.
bool MayQueue(const DecisionBuilder& builder, const v1::Job& job,
              const scheduler::QueuePlacement& planned, const NewlyQueued& queued);
// The last attempt on the device, behind which the next one waits, and the leases of all up to it.
// REQUIRES: MayQueue.
std::string LastOn(const State& state, const NewlyQueued& queued, const DeviceId& device);
double LeasesAhead(const State& state, const NewlyQueued& queued, const DeviceId& device);
// Asks the device to return the job's waiting attempt.
void Withdraw(DecisionBuilder& builder, const v1::Attempt& attempt, const std::string& reason);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_QUEUEING_H_
