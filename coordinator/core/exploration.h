// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What exploring may draw of a device in a day (UTC): the policies' exploration_ratio of the joules
// that the device draws in a day. Exploring is what it would not have drawn otherwise:
// - the runs of profile jobs without a budget of their own (a person has decided on the others);
// - an attempt that began on a prediction too wide to be planned on (scheduler/profiles/probe.h),
// if
//   it ended without a result and its first steps told nothing, or told that it had to leave. One
//   whose job may stay is the job's beginning, and no joule of it counts;
// - of such an attempt that has told nothing yet, what it is to draw until it tells.
// Everything here follows from the state. Ended jobs that left for the history no longer count.
// Pure.
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

// What the attempts on one device tell.
struct DeviceDay {
  Joules worked_yesterday;  // Gross, without profile jobs, of attempts that ended in that day.
  absl::Duration busy_yesterday = absl::ZeroDuration();  // Device time of these.
  Joules explored_today;
};

// By device id. A device without such an attempt is missing.
std::map<std::string, DeviceDay> DeviceDays(const State& state, absl::Time now);

// What the device may still explore with. The joules of its day are those of yesterday's work, and
// its idle draw in the rest of a day.
scheduler::ExplorationBudget ExplorationOf(const std::vector<v1::Policy>& policies,
                                           const v1::Device& device, const DeviceDay& day,
                                           absl::Time now);
// The same of one device and the fleet's policies.
scheduler::ExplorationBudget ExplorationOf(const State& state, const v1::Device& device,
                                           absl::Time now);

// The attempts that one plan begins. Since the plan was computed others may have begun, or have
// come to nothing, and a policy may have changed: the share of the day counts as it is now.
class PlannedExploring {
 public:
  // All must outlive the object.
  PlannedExploring(const State& state, const Observations& observations, const Instant& now)
      : state_(state), observations_(observations), now_(now) {}
  // Whether what the attempt explores with fits into the rest of its device's day, beside the
  // attempts for which this was true before.
  bool Fits(const v1::JobSpec& spec, const scheduler::QueuePlacement& planned);

 private:
  const State& state_;
  const Observations& observations_;
  const Instant& now_;
  std::map<std::string, Joules> explored_;  // key: device id
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_EXPLORATION_H_
