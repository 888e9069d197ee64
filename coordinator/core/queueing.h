// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attempts that wait on a device behind its running one. Each is a real attempt with a token of its
// own. The device begins them in the order of the tokens, also without the coordinator. While the
// coordinator hears of the device it may release one that has not begun: the device reports the
// stop, so that no job runs twice. Pure.
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

// The attempts that the device shall hold, in the order in which it begins them.
std::vector<const v1::Attempt*> AttemptsOn(const State& state, const DeviceId& device);
// Whether the attempt waits behind another one, and nothing is known of its beginning.
bool IsQueued(const State& state, const v1::Attempt& attempt);
// The attempt that the device begins before this one; "": none.
std::string AheadOf(const State& state, const v1::Attempt& attempt);
// The latest attempt of the device that does not wait; null: none.
const v1::Attempt* RunningOn(const State& state, const DeviceId& device);
// Whether the coordinator may ask the device to give the waiting attempt back.
bool MayWithdraw(const State& state, const Observations& observations, const v1::Attempt& attempt,
                 Monotonic now);

// How many attempts may wait on the device behind its running one, by its policies.
int QueueDepth(const State& state, const v1::DeviceInfo& device);
// How many more may; negative: too many do; 0 for a device that gets none now.
int QueueRoom(const State& state, const Observations& observations, const DeviceId& device,
              Monotonic now);

// From the places of a plan: which jobs go to a busy device to wait there (QueuePlacement.queue),
// and which waiting attempts leave their device (withdraw). A job goes to the device if all jobs
// whose places there come before are there already. An attempt leaves if the plan starts its job
// elsewhere at once, if a job with a deadline or of a higher priority is to go before it, if the
// device holds too many, or if its turn comes soon and the plan starts it later: the device would
// begin it in its turn, without the charge that the plan waits for. Such a job goes to no device.
// free_at: as QueueAndMoves's.
void ChooseQueued(const scheduler::Snapshot& snapshot, const std::vector<absl::Time>& free_at,
                  std::vector<scheduler::QueuePlacement>& jobs);

// What one decision has put on devices beyond the state.
struct NewlyQueued {
  std::map<DeviceId, std::vector<std::string>> attempts;
  std::map<DeviceId, double> lease_seconds;
};
// Whether the job may go to the device of its place and wait there: the device's attempt stays, a
// place behind it is free, and the job's files fit beside those of the attempts before it.
bool MayQueue(const DecisionBuilder& builder, const v1::Job& job,
              const scheduler::QueuePlacement& planned, const NewlyQueued& queued);
// The attempt behind which the next one on the device waits, and the leases of all before it.
// REQUIRES: MayQueue.
std::string LastOn(const State& state, const NewlyQueued& queued, const DeviceId& device);
double LeasesAhead(const State& state, const NewlyQueued& queued, const DeviceId& device);
// Asks the device to give back the attempt of the job, which waits there.
void Withdraw(DecisionBuilder& builder, const v1::Attempt& attempt, const std::string& reason);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_QUEUEING_H_
