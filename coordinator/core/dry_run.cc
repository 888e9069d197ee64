// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans one job that is not in the queue, or not in this form. Pure.
#include "coordinator/core/dry_run.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/anti_affinity_jobs.h"
#include "coordinator/core/certain_failure.h"
#include "coordinator/core/core.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/foreseen_inputs.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/leaner_forms_internal.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/loss_bound.h"
#include "coordinator/core/model_family_internal.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/paused.h"
#include "coordinator/core/planning_internal.h"
#include "coordinator/core/power_groups.h"
#include "coordinator/core/profiling.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/state.h"
#include "coordinator/core/what_if_changes.h"
#include "policy/guard_reason.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/predict.h"

namespace wattle::core {
namespace {

// Makes the view of an unsubmitted profile job that of its first run. runs: receives the expected
// cost of all runs, or why there is none; may be null.
absl::Status DescribeFirstRun(const Outlook& outlook, const PlanningInputs& inputs,
                              scheduler::JobView& view, std::string* runs) {
  const State& state = outlook.state;
  v1::Job job;
  *job.mutable_spec() = view.spec;
  view.profile_point = AnyPointOf(job.spec());
  view.profiled_device = ProfiledDevice(state, outlook.observations, job);
  if (view.profiled_device.has_value()) {
    const scheduler::DeviceView device = ViewOf(outlook, *view.profiled_device);
    const ProfileAsk ask{.state = state,
                         .job = job,
                         .inputs = view.inputs,
                         .device = device.device,
                         .fits = FitsOn(state, inputs, device, job.spec(), view.inputs),
                         .now = outlook.now.wall};
    WATTLE_ASSIGN_OR_RETURN(const ProfileStep step, NextProfileStep(ask));
    view.profile_point = step.point.value_or(*view.profile_point);
    if (runs != nullptr && step.end.has_value()) {
      *runs = step.end->why;
    } else if (runs != nullptr) {
      WATTLE_ASSIGN_OR_RETURN(*runs, RunsToCome(ask));
    }
  }
  view.spec = ProfileRunOf(job.spec(), *view.profile_point);
  return absl::OkStatus();
}

std::string WhyItFails(const v1::JobSpec& spec, const scheduler::JobView& job) {
  std::string failure = CertainFailure(spec, job.inputs);
  return failure.empty() ? WhyNoFamily(spec, job.models) : failure;
}

// Checks that each model that a floor names is the job's own or was quantized from it.
absl::Status CheckFamily(const v1::JobSpec& spec, const std::vector<scheduler::InputView>& views) {
  const v1::ArtifactInfo* model = scheduler::FindInput(views, kModelInput);
  const std::string parent = model == nullptr ? "" : model->artifact_id();
  int number = 0;
  for (const scheduler::InputView& view : views) {
    if (view.field != scheduler::kFloorModelsField) {
      continue;
    }
    const std::string& reference = spec.quality_floor().models(number++);
    if (view.artifact.artifact_id() != parent && view.artifact.parent_artifact_id() != parent) {
      return absl::InvalidArgumentError(absl::StrCat(
          "quality_floor.models: ", reference, " was not quantized from ", KindName(spec),
          ".model; 'wattle model ls' shows what each model was made "
          "from"));
    }
  }
  return absl::OkStatus();
}

// The job of a dry run. runs: see DescribeFirstRun.
struct Asked {
  const v1::JobSpec& spec;
  std::string* runs = nullptr;
};

// The job of a dry run, with its inputs; for a profile job, its first run.
absl::StatusOr<scheduler::JobView> DryJob(const State& state, const Observations& observations,
                                          const PlanningInputs& inputs, const Asked& asked,
                                          const Instant& now) {
  const v1::JobSpec& spec = asked.spec;
  scheduler::JobView job;
  job.spec = spec;
  WATTLE_ASSIGN_OR_RETURN(job.inputs, ForeseeInputs(state, spec, inputs.archived_sources));
  if (IsProfile(spec)) {
    const std::vector<v1::Policy> policies = WithoutFleet(state, now.wall).policies;
    WATTLE_RETURN_IF_ERROR(
        DescribeFirstRun({state, observations, policies, now}, inputs, job, asked.runs));
  }
  job.spec = WithLabelsOfProject(state, spec.project(), std::move(job.spec));
  job.peak_memory = PeakMemoryOf(state, inputs, job.spec, job.inputs);
  job.models = FamilyOf(state, inputs, job.spec, job.inputs);
  WATTLE_RETURN_IF_ERROR(CheckFamily(job.spec, job.inputs));
  return job;
}

bool IsRefusedForMemory(const v1::Candidate& candidate) {
  return candidate.refused_by() == "memory";
}

// The dry run's job with another spec. The inputs stay the same, because no change names another
// file.
absl::StatusOr<scheduler::JobView> WithSpec(const State& state, const PlanningInputs& inputs,
                                            const scheduler::JobView& job,
                                            const v1::JobSpec& spec) {
  WATTLE_RETURN_IF_ERROR(ValidateSpec(spec, /*files_needed=*/false));
  scheduler::JobView changed = job;
  changed.spec = spec;
  changed.leaner_forms.reset();
  changed.peak_memory = PeakMemoryOf(state, inputs, spec, job.inputs);
  changed.models = FamilyOf(state, inputs, spec, job.inputs);
  if (std::string failure = WhyItFails(spec, changed); !failure.empty()) {
    return absl::InvalidArgumentError(failure);
  }
  return changed;
}

// The rest of an open job: from its newest uploaded checkpoint, with its deadline since submission
// and its remaining budget.
absl::StatusOr<scheduler::JobView> RestOfJob(const State& state, const Observations& observations,
                                             const PlanningInputs& inputs, const JobId& id,
                                             const Instant& now) {
  const v1::JobRecord* const record = FindJob(state, id);
  if (record == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no job ", id.value(), " is open; 'wattle jobs' lists them"));
  }
  if (IsTerminal(record->job().state())) {
    return absl::FailedPreconditionError(
        absl::StrCat(id.value(), " has ended; 'wattle job show ", id.value(), "' tells how"));
  }
  WATTLE_ASSIGN_OR_RETURN(scheduler::JobView job,
                          DryJob(state, observations, inputs, {record->job().spec()}, now));
  if (std::vector<scheduler::InputView> resolved = ViewsOf(state, record->job());
      resolved.size() == static_cast<size_t>(record->job().inputs_size())) {
    job.inputs = std::move(resolved);  // A name may point to another artifact by now.
  }
  job.id = id;
  job.submitted = now.wall - JobAge(state, observations, *record, now.monotonic);
  job.checkpoint_step = record->checkpoint().step();
  job.spent = SpentSoFar(observations, record->job());
  AvoidFailures(state, observations, record->job(), now.monotonic, job);
  return job;
}

// Plans a running job as if its attempt left the device now.
void LeaveDevice(const State& state, const JobId& id, scheduler::Snapshot& snapshot) {
  const v1::Attempt* const live = LiveAttempt(FindJob(state, id)->job());
  for (scheduler::DeviceView& view : snapshot.devices) {
    if (live != nullptr && !IsQueued(state, *live) &&
        view.device.info().device_id() == live->device_id()) {
      scheduler::DeviceView free;
      free.device = std::move(view.device);
      free.device.clear_running_attempt_id();
      view = std::move(free);
    }
  }
}

// Delays the device of a separately planned job: the attempts that wait on it go before the job.
void ReserveQueued(const Outlook& outlook, scheduler::DeviceView* view) {
  const auto& [state, observations, policies, now] = outlook;
  for (const std::string& id : view->device.queued_attempt_ids()) {
    const v1::Attempt& attempt = *FindAttempt(state, AttemptId(id));
    const v1::Prediction& prediction = attempt.prediction();
    const Joules high(prediction.run_energy_joules().high());
    view->free_at = std::max(view->free_at, now.wall) +
                    RemainingTime(state, observations, attempt, now.monotonic);
    view->committed_energy += scheduler::GrossDemand(prediction, high);
  }
}

// How long the chosen device would work on the job without contact.
std::string WhyOffline(const State& state, const Observations& observations,
                       const scheduler::JobView& job, const v1::PlanResponse& plan) {
  const v1::Candidate& chosen = plan.candidates(0);
  const bool sole = std::all_of(plan.candidates().begin() + 1, plan.candidates().end(),
                                [](const v1::Candidate& other) { return other.permanent(); });
  return LeaseFor(state, observations,
                  {.spec = job.spec,
                   .prediction = chosen.prediction(),
                   .device = DeviceId(chosen.device_id()),
                   .sole = sole,
                   .to_deadline = job.spec.deadline_seconds() > 0
                                      ? absl::Seconds(job.spec.deadline_seconds())
                                      : absl::InfiniteDuration(),
                   .ahead_seconds = LeasesAhead(state, {}, DeviceId(chosen.device_id()))})
      .why;
}

// Evaluates forms that could fit where the job does not. Omitted for the queue, because it needs an
// estimate for each form of each job. A job with a quality floor has other models instead.
void ConsiderLeanerForms(const State& state, const PlanningInputs& inputs,
                         scheduler::JobView& job) {
  if (!job.models.empty()) {
    return;
  }
  job.leaner_forms.emplace();
  for (ChangedSpec& form : LeanerForms(job.spec)) {
    job.leaner_forms->push_back(
        {std::move(form.change), PeakMemoryOf(state, inputs, form.spec, job.inputs)});
  }
}

// A plan of one job moves no attempt, but the queue's plan may release one for a deadline.
void TellOfReleases(const scheduler::Snapshot& snapshot, const scheduler::JobView& job,
                    v1::PlanResponse& plan) {
  const bool may_release = std::any_of(
      plan.candidates().begin(), plan.candidates().end(), [&](const v1::Candidate& candidate) {
        return candidate.refused_by() == "deadline" && !candidate.permanent() &&
               std::any_of(snapshot.devices.begin(), snapshot.devices.end(),
                           [&](const scheduler::DeviceView& view) {
                             return view.device.info().device_id() == candidate.device_id() &&
                                    view.releasable.has_value() &&
                                    view.releasable->priority <= job.spec.priority();
                           });
      });
  if (may_release && plan.chosen_device_id().empty()) {
    plan.set_reason(absl::StrCat(plan.reason(),
                                 "; once the job is submitted, a running attempt may leave its "
                                 "device for the deadline"));
  }
}

}  // namespace

absl::StatusOr<v1::PlanResponse> DryRun(const State& state, const Observations& observations,
                                        const PlanningInputs& inputs,
                                        const v1::PlanRequest& request, const Instant& now) {
  if (!request.job_id().empty() && request.has_spec()) {
    return absl::InvalidArgumentError("job_id: contradicts spec; leave one of the two out");
  }
  if (request.job_id().empty()) {
    WATTLE_RETURN_IF_ERROR(ValidateSpec(request.spec(), /*files_needed=*/false));
    WATTLE_RETURN_IF_ERROR(CheckProjectExists(state, "project", ProjectOf(request.spec())));
  }
  if (request.ignore_policies() && request.policies_size() > 0) {
    return absl::InvalidArgumentError(
        "ignore_policies: contradicts policies; leave one of the two out");
  }
  std::vector<const v1::Policy*> others;
  for (const v1::Policy& policy : request.policies()) {
    WATTLE_RETURN_IF_ERROR(ValidatePolicy(policy));
    others.push_back(&policy);
  }
  WATTLE_RETURN_IF_ERROR(CheckPowerGroups(state, others));
  std::string runs;
  WATTLE_ASSIGN_OR_RETURN(
      scheduler::JobView job,
      request.job_id().empty()
          ? DryJob(state, observations, inputs, {request.spec(), &runs}, now)
          : RestOfJob(state, observations, inputs, JobId(request.job_id()), now));
  scheduler::Snapshot snapshot = FleetOf(state, observations, now);
  if (job.spec.has_apart()) {  // Otherwise the groups of other jobs are irrelevant.
    AddAntiAffinityGroups(state, &job.spec, snapshot);
  }
  snapshot.transfers_per_site = inputs.transfers_per_site;
  for (scheduler::DeviceView& view : snapshot.devices) {
    ReserveQueued({state, observations, snapshot.policies, now}, &view);
  }
  if (!request.job_id().empty()) {
    LeaveDevice(state, job.id, snapshot);
  }
  if (request.ignore_policies() || request.policies_size() > 0) {
    snapshot.policies.assign(request.policies().begin(), request.policies().end());
    // The request replaces the fleet's policies, so the guards' reasons to idle, which follow from
    // those policies, do not count.
    for (scheduler::DeviceView& device : snapshot.devices) {
      policy::ForgetPolicies(*device.device.mutable_heartbeat());
    }
  }
  WATTLE_ASSIGN_OR_RETURN(v1::PlanResponse plan, scheduler::PlanJobOrStartByMean(snapshot, job));
  if (std::any_of(plan.candidates().begin(), plan.candidates().end(), IsRefusedForMemory)) {
    ConsiderLeanerForms(state, inputs, job);
    WATTLE_ASSIGN_OR_RETURN(plan, scheduler::PlanJobOrStartByMean(snapshot, job));
  }
  plan.set_certain_failure(WhyItFails(job.spec, job));
  if (plan.certain_failure().empty() && request.job_id().empty()) {
    plan.set_certain_failure(LossBound(state, snapshot, job).WhyNone(plan));
  }
  TellOfReleases(snapshot, job, plan);
  if (!plan.chosen_device_id().empty()) {
    plan.set_reason(absl::StrCat(plan.reason(), "; ", WhyOffline(state, observations, job, plan)));
  }
  if (!runs.empty()) {
    plan.set_reason(absl::StrCat(plan.reason(), "; ", runs));
  }
  // The planner chooses the runs of a profile job regardless of what would win.
  if (!request.without_changes() && plan.certain_failure().empty() && !job.profile_point) {
    AddWhatIfChanges(
        snapshot, job, [&](const v1::JobSpec& spec) { return WithSpec(state, inputs, job, spec); },
        plan);
  }
  return plan;
}

absl::Status CheckPossible(const State& state, const Observations& observations,
                           const PlanningInputs& inputs, const v1::JobSpec& spec,
                           const Instant& now) {
  WATTLE_RETURN_IF_ERROR(ValidateSpec(spec, /*files_needed=*/false));
  WATTLE_ASSIGN_OR_RETURN(scheduler::JobView job, DryJob(state, observations, inputs, {spec}, now));
  if (const std::string failure = WhyItFails(job.spec, job); !failure.empty()) {
    return absl::InvalidArgumentError(failure);
  }
  scheduler::Snapshot snapshot = WithoutFleet(state, now.wall);
  std::vector<v1::Candidate> refusals;
  const LossBound loss(state, snapshot, job);
  std::string too_slow;  // Why the first device that could run it writes checkpoints too slowly.
  const auto plan_on = [&](const DeviceId& id) {
    snapshot.devices.assign(1, ViewOf({state, observations, snapshot.policies, now}, id));
    return scheduler::PlanOnFirstDevice(snapshot, job);
  };
  // Evaluates device by device: for most jobs the first device can run the job, and the cost is
  // then independent of the size of the fleet.
  for (const auto& [id, record] : state.devices) {
    if (record.removed()) {
      continue;
    }
    WATTLE_ASSIGN_OR_RETURN(v1::Candidate candidate, plan_on(id));
    if (!candidate.feasible() && candidate.permanent()) {
      refusals.push_back(std::move(candidate));
      continue;
    }
    const std::string why = loss.WhyNot(record.info());
    if (why.empty()) {
      return absl::OkStatus();
    }
    too_slow = too_slow.empty() ? why : too_slow;
  }
  if (!too_slow.empty()) {
    return absl::InvalidArgumentError(too_slow);
  }
  if (refusals.empty()) {
    // The fleet is empty, and a device may join. A spec without an amount of work is still refused.
    return scheduler::PlanJob(snapshot, job).status();
  }
  // Among boards that the same rule refuses, the one with the fewest joules is nearest.
  std::stable_sort(refusals.begin(), refusals.end(), [](const auto& a, const auto& b) {
    return a.marginal_energy_joules() < b.marginal_energy_joules();
  });
  std::vector<const v1::Candidate*> candidates;
  candidates.reserve(refusals.size());
  for (const v1::Candidate& refusal : refusals) {
    candidates.push_back(&refusal);
  }
  v1::Candidate nearest = *scheduler::NearestToFeasible(candidates);
  if (IsRefusedForMemory(nearest)) {
    ConsiderLeanerForms(state, inputs, job);
    WATTLE_ASSIGN_OR_RETURN(nearest, plan_on(DeviceId(nearest.device_id())));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "no device of this fleet can run it; the nearest is ", nearest.device_name(), ": ",
      nearest.reason(), "; 'wattle plan' shows all; add a device or change the job"));
}

std::optional<v1::Prediction> PredictLeast(const State& state, const Observations& observations,
                                           const std::vector<v1::Job>& archived_sources,
                                           const v1::JobSpec& spec, const Instant& now) {
  PlanningInputs inputs;
  inputs.archived_sources = archived_sources;
  const absl::StatusOr<scheduler::JobView> job = DryJob(state, observations, inputs, {spec}, now);
  if (!job.ok()) {
    return std::nullopt;  // For example, its model does not exist yet.
  }
  scheduler::Snapshot snapshot = WithoutFleet(state, now.wall);
  std::set<std::string> seen;
  std::optional<v1::Prediction> least;
  for (const auto& [id, record] : state.devices) {
    if (record.removed() || !seen.insert(record.info().device_class()).second) {
      continue;
    }
    snapshot.devices.assign(1, ViewOf({state, observations, snapshot.policies, now}, id));
    const absl::StatusOr<v1::Candidate> candidate = scheduler::PlanOnFirstDevice(snapshot, *job);
    const auto joules = [](const v1::Prediction& of) { return of.run_energy_joules().mean(); };
    if (candidate.ok() && joules(candidate->prediction()) > 0 &&
        (!least.has_value() || joules(candidate->prediction()) < joules(*least))) {
      least = candidate->prediction();
    }
  }
  return least;
}

}  // namespace wattle::core
