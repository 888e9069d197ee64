// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Learning from the first steps of running attempts (scheduler/profiles/probe.h), and the
// consequence for the attempt itself: if half a minute of work shows that a job cannot meet its
// deadline on its device, the job looks for another one. Pure.
#ifndef WATTLE_COORDINATOR_CORE_PROBING_H_
#define WATTLE_COORDINATOR_CORE_PROBING_H_

#include <optional>

#include "absl/time/time.h"

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/state.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::core {

// Learns from the steady work that the attempt's device reported last, once for each attempt.
// Learns nothing from an attempt that is not running, or whose workload the device has run before.
void DecideProbe(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& attempt);

// The profile row from the attempt's own first steps; null: there is none, or its receipt has come.
const v1::ProfileRow* ProbeOf(const State& state, const v1::Attempt& attempt);

// Adds the probe's prediction of the whole run to the receipt, beside the prediction from before
// the run.
void AddProbed(const State& state, const v1::Attempt& attempt, v1::Receipt& receipt);

// Remaining wall time of a running attempt according to its probe; nullopt unless the attempt was
// placed with a prediction too wide to be planned on, and its device has reported progress since.
struct ProbedRest {
  absl::Duration mean;
  absl::Duration low;  // Lower end of its 90 % interval.
};
std::optional<ProbedRest> ProbedRestOf(const State& state, const Observations& observations,
                                       const v1::Attempt& attempt, Monotonic now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PROBING_H_
