// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One job against the fleet.
#include "scheduler/place/place.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "scheduler/place/consider_internal.h"
#include "scheduler/place/explain_internal.h"
#include "scheduler/predict/work.h"

namespace wattle::scheduler {

absl::Status ValidateForPlan(const v1::JobSpec& spec) {
  return ValidateSpec(spec);
}

absl::StatusOr<v1::PlanResponse> PlanJob(const Snapshot& snapshot, const JobView& job) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  WATTLE_ASSIGN_OR_RETURN(const WorkAmount work, WorkOf(job.spec, job.inputs, *snapshot.profiles));
  const ObjectiveFunction& objective = ObjectiveOf(job.spec.objective());
  Considered considered =
      Consider(snapshot, job, work, InitialLoads(snapshot), ConsiderOptions{.dry_run = true});
  v1::PlanResponse plan;
  if (const v1::Candidate* const chosen = Chosen(considered); chosen != nullptr) {
    plan.set_chosen_device_id(chosen->device_id());
    plan.set_wait(chosen->start_in_seconds() > 0);
  }
  plan.set_reason(ReasonOf(considered, objective));
  plan.set_objective(objective.objective());
  plan.set_sequence_number(snapshot.sequence.value());
  plan.set_work_units(work.units);
  plan.set_unit(work.unit);
  for (v1::Candidate& candidate : considered.candidates) {
    *plan.add_candidates() = std::move(candidate);
  }
  return plan;
}

}  // namespace wattle::scheduler
