// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The phases that a runner reports, and the activities to which the worker books their energy.
// Pure.
#ifndef WATTLE_WORKER_AGENT_CORE_ATTEMPT_PHASE_H_
#define WATTLE_WORKER_AGENT_CORE_ATTEMPT_PHASE_H_

#include "absl/strings/string_view.h"

#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"
#include "worker/agent/core/energy_account.h"

namespace wattle::agent {

// "train" → ATTEMPT_PHASE_TRAIN. Unspecified if this version does not know the phase.
v1::AttemptPhase PhaseNamed(absl::string_view name);
// The phase of the job's own work.
v1::AttemptPhase MainPhase(const v1::JobSpec& spec);

// main_phase: of the job, whose activity is the run.
Activity ActivityOf(v1::AttemptPhase phase, v1::AttemptPhase main_phase);
// Unspecified for an activity that belongs to no phase.
v1::AttemptPhase PhaseOf(Activity activity, v1::AttemptPhase main_phase);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ATTEMPT_PHASE_H_
