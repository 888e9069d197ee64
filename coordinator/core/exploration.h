// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Daily (UTC) exploration budget of a device: the policies' exploration_ratio of the joules that
// the device draws in a day. Exploration counts energy that the device would not have drawn
// otherwise:
// - the runs of profile jobs without a budget of their own (for the others a person has decided);
// - an attempt that began on a prediction too wide to be planned on (scheduler/profiles/probe.h),
//   if it ended without a result and its first steps taught nothing or showed that it had to leave.
//   If its job may stay, the attempt is the job's beginning and none of its joules count;
// - while such an attempt has taught nothing yet, its expected draw until it does.
// Everything here follows from the state. Ended jobs that have moved to the history no longer
// count. Pure.
#ifndef WATTLE_COORDINATOR_CORE_EXPLORATION_H_
#define WATTLE_COORDINATOR_CORE_EXPLORATION_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "coordinator/core/elapsed.h"
#include "coordinator/core/state.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::core {

// Energy of the attempts on one device.
struct DeviceDay {
  Joules worked_yesterday;  // Gross, without profile jobs, of attempts that ended in that day.
  absl::Duration busy_yesterday = absl::ZeroDuration();  // Device time of those attempts.
  Joules explored_today;
};

// By device id. A device without such attempts has no entry.
std::map<std::string, DeviceDay> DeviceDays(const State& state, absl::Time now);

// The exploration budget that the device has left. The joules of its day are those of yesterday's
// work plus its idle draw during the rest of a day.
scheduler::ExplorationBudget ExplorationOf(const std::vector<v1::Policy>& policies,
                                           const v1::Device& device, const DeviceDay& day,
                                           absl::Time now);
// The remaining budget of one device by the fleet's policies.
scheduler::ExplorationBudget ExplorationOf(const State& state, const v1::Device& device,
                                           absl::Time now);

// Checks the exploring attempts of a plan against the present budgets. Since the plan was computed,
// other attempts may have begun or ended and policies may have changed.
class PlannedExploring {
 public:
  // All must outlive the object.
  PlannedExploring(const State& state, const Observations& observations, const Instant& now)
      : state_(state), observations_(observations), now_(now) {}
  // Whether the exploration of the attempt fits into the rest of its device's daily budget, beside
  // the attempts for which Fits returned true before.
  bool Fits(const v1::JobSpec& spec, const scheduler::QueuePlacement& planned);

 private:
  const State& state_;
  const Observations& observations_;
  const Instant& now_;
  std::map<std::string, Joules> explored_;  // key: device id
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_EXPLORATION_H_
