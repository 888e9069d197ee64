// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What running attempts teach by their first steps (scheduler/profiles/probe.h), and what follows
// for the attempt itself: where half a minute of work says that a job cannot meet its deadline on
// its device, the job looks for another one. Pure.
#ifndef WATTLE_COORDINATOR_CORE_PROBING_H_
#define WATTLE_COORDINATOR_CORE_PROBING_H_

#include <optional>

#include "absl/time/time.h"

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/state.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::core {

// Learns from the steady work that the attempt's device told last, once for each attempt. An
// attempt that is not running, or whose workload the device has run before, teaches nothing here.
void DecideProbe(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& attempt);

// What the attempt's own first steps taught; null: nothing, or its receipt has come.
const v1::ProfileRow* ProbeOf(const State& state, const v1::Attempt& attempt);

// Writes what the probe told of the whole run beside what was predicted before it.
void AddProbed(const State& state, const v1::Attempt& attempt, v1::Receipt& receipt);

// The rest of a running attempt by its probe, in wall time; nullopt unless the attempt was placed
// with a prediction too wide to be planned on, and its device has told its progress since.
struct ProbedRest {
  absl::Duration mean;
  absl::Duration low;  // Of its 90 % interval.
};
std::optional<ProbedRest> ProbedRestOf(const State& state, const Observations& observations,
                                       const v1::Attempt& attempt, Monotonic now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PROBING_H_
