// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans one job on the fleet.
#include "scheduler/place/place.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status_macros.h"
#include "scheduler/place/device/choose_device.h"
#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/explain/explain_internal.h"
#include "scheduler/place/queue/start_spans.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/work.h"

namespace wattle::scheduler {

namespace {

// Adds the choice by each objective on the same snapshot.
void AddChoices(const FleetView& fleet,
                const std::function<EvaluatedDevices(const JobView& job)>& evaluate, JobView job,
                v1::PlanResponse& plan) {
  for (const v1::Objective objective :
       {v1::OBJECTIVE_ENERGY, v1::OBJECTIVE_TIME, v1::OBJECTIVE_EDP}) {
    job.spec.set_objective(objective);
    const EvaluatedDevices evaluated = evaluate(job);
    v1::ObjectiveChoice& choice = *plan.add_choices();
    choice.set_objective(objective);
    if (const Option* const chosen = Chosen(evaluated); chosen != nullptr) {
      choice.set_device_id(fleet.InfoOf(*chosen).device_id());
      choice.set_wait(chosen->run.start_in_seconds > 0);
    }
  }
}

absl::StatusOr<v1::PlanResponse> PlanJobBy(DeadlineBy deadline_by, const Snapshot& snapshot,
                                           const JobView& job) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  WATTLE_ASSIGN_OR_RETURN(const WorkAmount work, WorkOfJob(job, *snapshot.profiles));
  const ObjectiveRow& objective = ObjectiveOf(job.spec.objective());
  FleetView fleet(snapshot, EvaluationOptions{.dry_run = true});
  const FleetLoads loads = InitialLoads(snapshot);
  const auto evaluate = [&](const JobView& asked) {
    return fleet.EvaluateDevices(asked, work, loads, deadline_by);
  };
  const EvaluatedDevices evaluated = evaluate(job);
  v1::PlanResponse plan;
  for (const Option* option : evaluated.options) {
    v1::Candidate& candidate = *plan.add_candidates() =
        fleet.CandidateOf(job, *option, FleetView::OtherModes::kShow);
    if (option->feasible()) {
      const size_t device = option->run.device;
      fleet.AddSpans(job, *option, AttemptAheadOn(snapshot, device, loads[device]), candidate);
    }
  }
  if (Chosen(evaluated) != nullptr) {
    plan.set_chosen_device_id(plan.candidates(0).device_id());
    plan.set_wait(plan.candidates(0).start_in_seconds() > 0);
    plan.set_reason(WhyChosen(fleet, job, evaluated, plan.candidates(0)));
  } else {
    plan.set_reason(WhyNone(fleet, job, evaluated));
  }
  plan.set_objective(objective.objective);
  plan.set_sequence_number(snapshot.sequence.value());
  plan.set_work_units(work.units);
  plan.set_unit(work.unit);
  plan.set_batch_size(work.signature.batch_size());
  AddChoices(fleet, evaluate, job, plan);
  return plan;
}

}  // namespace

absl::StatusOr<v1::Candidate> PlanOnFirstDevice(const Snapshot& snapshot, const JobView& job) {
  WATTLE_CHECK(!snapshot.devices.empty(), "there is a first device");
  WATTLE_ASSIGN_OR_RETURN(const WorkAmount work, WorkOfJob(job, *snapshot.profiles));
  FleetView fleet(snapshot, EvaluationOptions{.dry_run = true});
  const FleetLoads loads = InitialLoads(snapshot);
  EvaluatedDevices evaluated = fleet.EvaluateDevices(job, work, loads);
  if (evaluated.feasible == 0 && job.spec.deadline_seconds() > 0) {
    evaluated = fleet.EvaluateDevices(job, work, loads, DeadlineBy::kMean);
    if (evaluated.feasible == 0) {  // The refusal at the upper quantile is more informative.
      evaluated = fleet.EvaluateDevices(job, work, loads);
    }
  }
  return fleet.CandidateOf(job, *evaluated.options.front(), FleetView::OtherModes::kShow);
}

absl::StatusOr<std::optional<v1::Candidate>> ChooseDevice(const Snapshot& snapshot,
                                                          const JobView& job) {
  WATTLE_ASSIGN_OR_RETURN(const WorkAmount work, WorkOf(job.spec, job.inputs, *snapshot.profiles));
  FleetView fleet(snapshot, EvaluationOptions{.dry_run = true});
  const EvaluatedDevices evaluated = fleet.EvaluateDevices(job, work, InitialLoads(snapshot));
  const Option* const chosen = Chosen(evaluated);
  return chosen == nullptr
             ? std::nullopt
             : std::optional(fleet.CandidateOf(job, *chosen, FleetView::OtherModes::kShow));
}

absl::StatusOr<v1::PlanResponse> PlanJob(const Snapshot& snapshot, const JobView& job) {
  return PlanJobBy(DeadlineBy::kUpperQuantile, snapshot, job);
}

absl::StatusOr<v1::PlanResponse> PlanJobOrStartByMean(const Snapshot& snapshot,
                                                      const JobView& job) {
  WATTLE_ASSIGN_OR_RETURN(v1::PlanResponse plan, PlanJob(snapshot, job));
  if (!plan.chosen_device_id().empty() || job.spec.deadline_seconds() <= 0) {
    return plan;
  }
  WATTLE_ASSIGN_OR_RETURN(const WorkAmount work, WorkOfJob(job, *snapshot.profiles));
  FleetView fleet(snapshot, EvaluationOptions{.dry_run = true});
  if (fleet.EvaluateDevicesNowOrLater(job, work, InitialLoads(snapshot)).feasible > 0) {
    return plan;  // A later start is certain.
  }
  WATTLE_ASSIGN_OR_RETURN(v1::PlanResponse by_mean, PlanJobBy(DeadlineBy::kMean, snapshot, job));
  return by_mean.chosen_device_id().empty() ? std::move(plan) : std::move(by_mean);
}

}  // namespace wattle::scheduler
