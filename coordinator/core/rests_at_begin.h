// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The rests of a run that waited on its board and begins now. Its plan is as old as its wait: the
// run begins by night where the plan had it begin in the morning, or the sun was another one. Pure.
#ifndef WATTLE_COORDINATOR_CORE_RESTS_AT_BEGIN_H_
#define WATTLE_COORDINATOR_CORE_RESTS_AT_BEGIN_H_

#include <optional>

#include "coordinator/core/state.h"
#include "wattle/v1/job.pb.h"

namespace wattle::core {

// Seconds of rest at the reserve of its device, by the present charge and the sun to come; 0: the
// charge bears the run at the policy's risk. nullopt: the run did not wait, began earlier, may not
// rest, or the device tells of a time that is over.
std::optional<double> RestSecondsAtBegin(const State& state, const Observations& observations,
                                         const v1::Attempt& attempt, const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_RESTS_AT_BEGIN_H_
