// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rests of a run that waited on its board and begins now. Its plan is as old as its wait, so the
// run may begin at night instead of in the morning, or under other weather than planned. Pure.
#ifndef WATTLE_COORDINATOR_CORE_RESTS_AT_BEGIN_H_
#define WATTLE_COORDINATOR_CORE_RESTS_AT_BEGIN_H_

#include <optional>

#include "coordinator/core/state.h"
#include "wattle/v1/job.pb.h"

namespace wattle::core {

// Seconds of rest at the reserve of its device, by the present charge and the expected sun; 0: the
// charge suffices at the policy's risk. nullopt: the run did not wait, began earlier or may not
// rest, or the device's report is outdated.
std::optional<double> RestSecondsAtBegin(const State& state, const Observations& observations,
                                         const v1::Attempt& attempt, const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_RESTS_AT_BEGIN_H_
