// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When the policy lsa lets a job begin: C. Moser, D. Brunelli, L. Thiele, L. Benini, "Real-time
// scheduling for energy harvesting sensor nodes", 2007. The job waits while the board's energy
// would not suffice to run it without a break until its deadline. Pure.
#ifndef WATTLE_SIM_SCENARIO_LAZY_START_H_
#define WATTLE_SIM_SCENARIO_LAZY_START_H_

#include "absl/time/time.h"

#include "scheduler/place/snapshot.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::sim {

// The later of now and the lazy start on the candidate's board. A board on mains, a full pack, a
// job without a deadline and a job that must begin now start at once. REQUIRES: the candidate is of
// a plan of the snapshot.
absl::Time LazyStart(const scheduler::Snapshot& snapshot, const v1::Candidate& candidate,
                     absl::Time deadline);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_LAZY_START_H_
