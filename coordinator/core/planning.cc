// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Gives the scheduler its view of the state and the observations. Pure.
#include "coordinator/core/planning.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/draft_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/forecasts.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/leaner_forms_internal.h"
#include "coordinator/core/model_family_internal.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/paused.h"
#include "coordinator/core/power_groups.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/profiling.h"
#include "coordinator/core/releasing.h"
#include "coordinator/core/state.h"
#include "coordinator/core/winning_changes.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/quantization_recipe.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/run_interval.h"
#include "units/quantity.h"

namespace wattle::core {
namespace {

// How long a job avoids a device on which it failed, unless the fleet has no other device.
constexpr absl::Duration kAvoid = absl::Minutes(10);
// An attempt that takes longer to hand over than expected is expected to need this much longer.
constexpr absl::Duration kHandOverLeft = absl::Seconds(30);
// Of a profile job on a device that is not there.
constexpr int64_t kStepsOfAnyPoint = 4;

// Notes that the device is busy with the attempt: until when, and how many gross joules at the
// upper quantile the battery must still supply.
void ReserveDevice(const Outlook& outlook, const AttemptId& attempt_id,
                   scheduler::DeviceView* view) {
  const auto& [state, observations, policies, now] = outlook;
  const v1::Attempt& attempt = *FindAttempt(state, attempt_id);
  if (attempt.released()) {
    view->free_at =
        now.wall + std::max(HandOverTime(state, attempt) -
                                SinceReleased(state, observations, attempt_id, now.monotonic),
                            kHandOverLeft);
    view->waits_for = absl::StrCat("its attempt ", attempt_id.value(), " hands over");
    return;
  }
  const double scale = std::max(view->device.info().time_scale(), 1e-9);
  const v1::Prediction& prediction = attempt.prediction();
  const v1::ProfileRow* const probe = ProbeOf(state, attempt);
  const v1::Interval seconds =
      probe == nullptr ? prediction.run_seconds()
                       : scheduler::RunInterval(*probe, scheduler::Quantity::kTime,
                                                state.profiles.calibration(), attempt.device_id())
                             .value_or(prediction.run_seconds());
  // Ratio of the upper quantile to the mean. The joules grow in proportion to the time.
  const double upper = seconds.mean() > 0.0 ? std::max(1.0, seconds.high() / seconds.mean()) : 1.0;
  const double watts = probe != nullptr && probe->power_watts().count() > 0
                           ? probe->power_watts().mean()
                           : prediction.mean_power_watts();
  const absl::Duration remaining = RemainingTime(state, observations, attempt, now.monotonic);
  ExpectedReturn paused = ReturnOf(outlook, attempt, view->device);
  view->free_at = now.wall + paused.in + remaining;
  view->waits_for = std::move(paused.why);
  view->releasable = ReleasableOf(state, observations, attempt, upper * remaining, now);
  view->running_power = Watts(watts);
  view->committed_energy = Joules(watts * absl::ToDoubleSeconds(remaining) / scale * upper);
}

std::vector<DeviceId> AvoidedDevices(const State& state, const Observations& observations,
                                     const v1::Job& job, Monotonic now) {
  if (IsProfile(job.spec())) {
    return {};  // It is of one device, and leaves out the points that failed.
  }
  std::set<DeviceId> failed;
  for (const v1::Attempt& attempt : job.attempts()) {
    if (attempt.state() == v1::ATTEMPT_STATE_FAILED &&
        attempt.receipt().failure_class() != v1::FAILURE_CLASS_JOB &&
        SinceStateChange(state, observations, AttemptId(attempt.attempt_id()), now) < kAvoid) {
      failed.insert(DeviceId(attempt.device_id()));
    }
  }
  for (const auto& [id, record] : state.devices) {
    if (!record.removed() && !record.drained() && !WaitsForApproval(state, id) &&
        !failed.contains(id)) {
      return {failed.begin(), failed.end()};
    }
  }
  return {};
}

// The model that the job will make from `model`.
v1::ArtifactInfo OutputFrom(const v1::Job& source, v1::ArtifactInfo model) {
  const bool quantizes = KindOf(source.spec()).quantizes_model;
  model.set_parent_artifact_id(quantizes ? model.artifact_id() : "");
  model.clear_quality();
  model.clear_name();
  model.set_artifact_id(absl::StrCat("output of ", source.job_id()));
  model.set_job_id(source.job_id());
  if (quantizes) {
    const v1::QuantizationRecipe* const recipe = RecipeIn(source.spec());
    const auto wanted = WantedQuantization(QuantizationIn(source.spec()), recipe);
    // The recipe that the search will find is unknown; int4 is the nearest fixed recipe.
    model.set_quantization(!wanted.ok() || wanted->empty()    ? kInt8Quantization
                           : *wanted == kAdaptiveQuantization ? "int4-g64"
                                                              : *wanted);
    model.clear_recipe();  // The parent's.
    if (recipe != nullptr) {
      *model.mutable_recipe() = *recipe;
    }
  }
  return model;
}

// The artifact of a reference. For an output that no job has made yet, the shape of the model that
// the job starts from.
absl::StatusOr<v1::ArtifactInfo> Foresee(const State& state, const std::vector<v1::Job>& archived,
                                         const std::string& reference) {
  WATTLE_ASSIGN_OR_RETURN(const ModelChain chain, ChainOf(state, archived, reference));
  v1::ArtifactInfo artifact = state.artifacts.at(chain.stored);
  for (auto source = chain.to_be_made.rbegin(); source != chain.to_be_made.rend(); ++source) {
    artifact = OutputFrom(**source, std::move(artifact));
  }
  return artifact;
}

int64_t PeakMemory(const State& state, const PlanningInputs& inputs, const v1::JobSpec& spec,
                   const std::vector<scheduler::InputView>& views) {
  if (!inputs.estimate_memory) {
    return 0;
  }
  const v1::ModelShape* shape = DeclaredModel(spec);
  v1::JobSpec whole = spec;
  const v1::ArtifactInfo* model = scheduler::FindInput(views, kModelInput);
  if (model != nullptr && model->has_model_shape()) {
    shape = &model->model_shape();
    whole = WithRecipe(std::move(whole), *model);
  }
  return shape == nullptr ? 0
                          : inputs.estimate_memory(whole, *shape, DataMemoryOf(state, spec, views));
}

scheduler::DeviceView ViewOf(const Outlook& outlook, const DeviceId& device) {
  const auto& [state, observations, policies, now] = outlook;
  scheduler::DeviceView view;
  view.device = DescribeDevice(state, observations, device, now);
  if (const AttemptId* wanted = state.wanted_attempt.Find(device); wanted != nullptr) {
    ReserveDevice(outlook, *wanted, &view);
  }
  if (const RunsOfDevice* const runs = state.runs_of_device.Find(device); runs != nullptr) {
    view.runs_ended = runs->ended;
    view.runs_stopped_by_charge = runs->stopped_by_charge;
  }
  if (!state.forecasts.empty()) {
    view.sun_forecast = TrustedForecast(state, observations, view.device.info(), now.wall);
  }
  return view;
}

// A point of a profile job of which nothing is known: its first batch, a few steps.
v1::ProfilePoint AnyPointOf(const v1::JobSpec& spec) {
  v1::ProfilePoint point;
  const int64_t batch = spec.profile().batch_sizes_size() > 0
                            ? spec.profile().batch_sizes(0)
                            : IntegerIn(WorkloadOf(spec), "batch_size");
  point.set_batch_size(static_cast<int32_t>(std::max<int64_t>(1, batch)));
  point.set_steps(kStepsOfAnyPoint);
  return point;
}

// Whether a run of the profile job fits into the device's memory; empty: no memory is estimated.
std::function<bool(const v1::ProfilePoint&)> FitsOn(
    const State& state, const PlanningInputs& inputs, const scheduler::DeviceView& device,
    const v1::JobSpec& spec, const std::vector<scheduler::InputView>& views) {
  if (!inputs.estimate_memory) {
    return {};
  }
  return [&](const v1::ProfilePoint& point) {
    return scheduler::FitsInMemory(device.device.info(),
                                   PeakMemory(state, inputs, ProfileRunOf(spec, point), views));
  };
}

// A snapshot with policies and profiles, without devices and jobs.
scheduler::Snapshot WithoutFleet(const State& state, absl::Time now) {
  scheduler::Snapshot snapshot;
  snapshot.sequence = state.last_sequence;
  snapshot.now = now;
  snapshot.profiles = &state.profiles;
  for (const auto& [name, policy] : state.policies) {
    snapshot.policies.push_back(policy);
  }
  return snapshot;
}

// A snapshot with the fleet and without the queue, whose cost would grow with its length.
scheduler::Snapshot FleetOf(const State& state, const Observations& observations,
                            const Instant& now) {
  scheduler::Snapshot snapshot = WithoutFleet(state, now.wall);
  for (const auto& [id, record] : state.devices) {
    if (record.removed()) {
      continue;
    }
    snapshot.devices.push_back(ViewOf({state, observations, snapshot.policies, now}, id));
  }
  return snapshot;
}

}  // namespace

namespace {

// Makes the view that of the job's next run, or of its end.
void DescribeRun(const State& state, const PlanningInputs& inputs,
                 const scheduler::Snapshot& snapshot, const v1::Job& job,
                 scheduler::JobView& view) {
  const v1::Attempt* const live = LiveAttempt(job);
  view.profile_point = live != nullptr ? live->profile_point() : AnyPointOf(job.spec());
  const v1::DeviceRecord* const record = ProfiledDevice(state, job.spec());
  const auto device = std::find_if(
      snapshot.devices.begin(), snapshot.devices.end(), [&](const scheduler::DeviceView& each) {
        return record != nullptr && each.device.info().device_id() == record->info().device_id();
      });
  if (live == nullptr && device != snapshot.devices.end()) {
    const ProfileAsk ask{.state = state,
                         .job = job,
                         .inputs = view.inputs,
                         .device = device->device,
                         .fits = FitsOn(state, inputs, *device, job.spec(), view.inputs),
                         .now = snapshot.now,
                         .choose = device->device.connected() && device->free_at <= snapshot.now};
    // Without an amount of work the planner says what is wrong with the job.
    if (absl::StatusOr<ProfileStep> step = NextProfileStep(ask); step.ok()) {
      view.profile_end = std::move(step->end);
      view.profile_point = step->point.value_or(*view.profile_point);
    }
  }
  view.spec = ProfileRunOf(job.spec(), *view.profile_point);
}

}  // namespace

scheduler::Snapshot MakeSnapshot(const State& state, const Observations& observations,
                                 const PlanningInputs& inputs, const Instant& now) {
  scheduler::Snapshot snapshot = FleetOf(state, observations, now);
  const std::set<JobId> results_to_come = JobsWithResultsToCome(observations, now.monotonic);
  for (const int64_t number : state.open_jobs) {
    const v1::JobRecord& record = state.jobs.at(number);
    const v1::Job& job = record.job();
    const bool moves = MoveOf(state, observations, record, now).has_value();
    if (!moves && (job.state() != v1::JOB_STATE_QUEUED ||
                   InBackoff(state, observations, record, now.monotonic) ||
                   results_to_come.contains(JobId(job.job_id())))) {
      continue;
    }
    scheduler::JobView view;
    view.id = JobId(job.job_id());
    view.spec = job.spec();
    view.submitted = now.wall - JobAge(state, observations, record, now.monotonic);
    view.inputs = ViewsOf(state, job);
    view.checkpoint_step = record.checkpoint().step();
    view.spent = SpentEnergy(job);
    if (IsProfile(job.spec())) {
      DescribeRun(state, inputs, snapshot, job, view);
    }
    view.avoided_devices = AvoidedDevices(state, observations, job, now.monotonic);
    if (moves) {
      view.avoided_devices.emplace_back(LiveAttempt(job)->device_id());
    }
    view.peak_memory_bytes = PeakMemory(state, inputs, view.spec, view.inputs);
    view.models = FamilyOf(state, inputs, view.spec, view.inputs);
    snapshot.queue.push_back(std::move(view));
  }
  return snapshot;
}

bool AnythingToPlan(const State& state, const Observations& observations, const Instant& now) {
  return std::any_of(state.open_jobs.begin(), state.open_jobs.end(), [&](int64_t number) {
    const v1::JobRecord& record = state.jobs.at(number);
    return record.job().state() == v1::JOB_STATE_QUEUED ||
           MoveOf(state, observations, record, now).has_value();
  });
}

std::map<JobId, WaitingJob> WaitingJobsOf(const State& state, const PlanComputed& plan) {
  std::map<JobId, WaitingJob> waiting;
  for (const scheduler::QueuePlacement& planned : plan.jobs) {
    if (planned.profile_end.has_value() ||
        (!planned.placement.device_id().empty() && !planned.placement.wait())) {
      continue;
    }
    WaitingJob& job = waiting[planned.job];
    job.why = WhyNotNow(state, planned);
    job.place = planned.placement;
    if (planned.placement.best_size() > 0) {
      job.expected = planned.placement.best(0).prediction();
    }
    job.place.clear_best();
    job.place.clear_refusals();
    job.place.clear_reason();
  }
  return waiting;
}

PlanComputed ComputePlan(const scheduler::Snapshot& snapshot) {
  return PlanComputed{snapshot.sequence, scheduler::PlanQueue(snapshot)};
}

absl::StatusOr<std::vector<scheduler::InputView>> ForeseeInputs(
    const State& state, const v1::JobSpec& spec, const std::vector<v1::Job>& archived_sources) {
  std::vector<scheduler::InputView> inputs;
  for (const InputReference& input : InputsOf(spec)) {
    absl::StatusOr<v1::ArtifactInfo> artifact = Foresee(state, archived_sources, input.reference);
    if (!artifact.ok()) {
      return WithContext(FieldName(spec, input), artifact.status());
    }
    WATTLE_RETURN_IF_ERROR(CheckInputKind(spec, input, *artifact));
    inputs.push_back({input.field, *std::move(artifact)});
  }
  return inputs;
}

namespace {

// As DescribeRun, of a job that is not submitted. runs: gets what all runs take, or why there is
// none; null: not asked.
absl::Status DescribeFirstRun(const Outlook& outlook, const PlanningInputs& inputs,
                              scheduler::JobView& view, std::string* runs) {
  const State& state = outlook.state;
  v1::Job job;
  *job.mutable_spec() = view.spec;
  view.profile_point = AnyPointOf(job.spec());
  if (const v1::DeviceRecord* const record = ProfiledDevice(state, job.spec()); record != nullptr) {
    const scheduler::DeviceView device = ViewOf(outlook, DeviceId(record->info().device_id()));
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

// Each model that a floor names is the job's own or was quantized from it.
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

// The job of a dry run, with its inputs: of a profile job its first run, and in `runs` what all of
// its runs take.
absl::StatusOr<scheduler::JobView> DryJob(const State& state, const Observations& observations,
                                          const PlanningInputs& inputs, const v1::JobSpec& spec,
                                          const Instant& now, std::string* runs) {
  scheduler::JobView job;
  job.spec = spec;
  WATTLE_ASSIGN_OR_RETURN(job.inputs, ForeseeInputs(state, spec, inputs.archived_sources));
  if (IsProfile(spec)) {
    const std::vector<v1::Policy> policies = WithoutFleet(state, now.wall).policies;
    WATTLE_RETURN_IF_ERROR(
        DescribeFirstRun({state, observations, policies, now}, inputs, job, runs));
  }
  job.peak_memory_bytes = PeakMemory(state, inputs, job.spec, job.inputs);
  job.models = FamilyOf(state, inputs, job.spec, job.inputs);
  WATTLE_RETURN_IF_ERROR(CheckFamily(job.spec, job.inputs));
  return job;
}

bool IsRefusedForMemory(const v1::Candidate& candidate) {
  return candidate.refused_by() == "memory";
}

// The job of the dry run with another spec. Inputs stay: no change names another file.
absl::StatusOr<scheduler::JobView> WithSpec(const State& state, const PlanningInputs& inputs,
                                            const scheduler::JobView& job,
                                            const v1::JobSpec& spec) {
  WATTLE_RETURN_IF_ERROR(ValidateSpec(spec, /*files_needed=*/false));
  scheduler::JobView changed = job;
  changed.spec = spec;
  changed.leaner_forms.reset();
  changed.peak_memory_bytes = PeakMemory(state, inputs, spec, job.inputs);
  changed.models = FamilyOf(state, inputs, spec, job.inputs);
  if (std::string failure = WhyItFails(spec, changed); !failure.empty()) {
    return absl::InvalidArgumentError(failure);
  }
  return changed;
}

// What is left of an open job: from its newest uploaded checkpoint, under its deadline since
// submission, within what is left of its budget.
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
  WATTLE_ASSIGN_OR_RETURN(
      scheduler::JobView job,
      DryJob(state, observations, inputs, record->job().spec(), now, /*runs=*/nullptr));
  if (std::vector<scheduler::InputView> resolved = ViewsOf(state, record->job());
      resolved.size() == static_cast<size_t>(record->job().inputs_size())) {
    job.inputs = std::move(resolved);  // A name may stand for another artifact by now.
  }
  job.id = id;
  job.submitted = now.wall - JobAge(state, observations, *record, now.monotonic);
  job.checkpoint_step = record->checkpoint().step();
  job.spent = SpentSoFar(observations, record->job());
  job.avoided_devices = AvoidedDevices(state, observations, record->job(), now.monotonic);
  return job;
}

// A job that runs is planned as if its attempt left the device now.
void LeaveDevice(const State& state, const JobId& id, scheduler::Snapshot& snapshot) {
  const v1::Attempt* const live = LiveAttempt(FindJob(state, id)->job());
  for (scheduler::DeviceView& view : snapshot.devices) {
    if (live != nullptr && view.device.info().device_id() == live->device_id()) {
      scheduler::DeviceView free;
      free.device = std::move(view.device);
      free.device.clear_running_attempt_id();
      view = std::move(free);
    }
  }
}

// Looks at the forms that could fit where the job does not. Not done for the queue: it takes an
// estimate for each form of each job. A job with a quality floor has other models instead.
void ConsiderLeanerForms(const State& state, const PlanningInputs& inputs,
                         scheduler::JobView& job) {
  if (!job.models.empty()) {
    return;
  }
  job.leaner_forms.emplace();
  for (ChangedSpec& form : LeanerForms(job.spec)) {
    job.leaner_forms->push_back(
        {std::move(form.change), PeakMemory(state, inputs, form.spec, job.inputs)});
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
          ? DryJob(state, observations, inputs, request.spec(), now, &runs)
          : RestOfJob(state, observations, inputs, JobId(request.job_id()), now));
  scheduler::Snapshot snapshot = FleetOf(state, observations, now);
  if (!request.job_id().empty()) {
    LeaveDevice(state, job.id, snapshot);
  }
  if (request.ignore_policies() || request.policies_size() > 0) {
    snapshot.policies.assign(request.policies().begin(), request.policies().end());
    // The request replaces the fleet's policies, so the guards' reasons to idle, which follow from
    // those policies, do not count.
    for (scheduler::DeviceView& device : snapshot.devices) {
      device.device.mutable_heartbeat()->clear_guard_reason();
    }
  }
  WATTLE_ASSIGN_OR_RETURN(v1::PlanResponse plan, scheduler::PlanJob(snapshot, job));
  if (std::any_of(plan.candidates().begin(), plan.candidates().end(), IsRefusedForMemory)) {
    ConsiderLeanerForms(state, inputs, job);
    WATTLE_ASSIGN_OR_RETURN(plan, scheduler::PlanJob(snapshot, job));
  }
  plan.set_certain_failure(WhyItFails(job.spec, job));
  if (!runs.empty()) {
    plan.set_reason(absl::StrCat(plan.reason(), "; ", runs));
  }
  // The runs of a profile job are chosen, whatever would win.
  if (!request.without_changes() && plan.certain_failure().empty() && !job.profile_point) {
    AddWinningChanges(
        snapshot, job, [&](const v1::JobSpec& spec) { return WithSpec(state, inputs, job, spec); },
        plan);
  }
  return plan;
}

absl::Status CheckPossible(const State& state, const Observations& observations,
                           const PlanningInputs& inputs, const v1::JobSpec& spec,
                           const Instant& now) {
  WATTLE_RETURN_IF_ERROR(ValidateSpec(spec, /*files_needed=*/false));
  WATTLE_ASSIGN_OR_RETURN(scheduler::JobView job,
                          DryJob(state, observations, inputs, spec, now, /*runs=*/nullptr));
  if (const std::string failure = WhyItFails(job.spec, job); !failure.empty()) {
    return absl::InvalidArgumentError(failure);
  }
  scheduler::Snapshot snapshot = WithoutFleet(state, now.wall);
  std::vector<v1::Candidate> refusals;
  // Asks device by device: for most jobs the first device can run the job, and the answer costs the
  // same in a fleet of any size.
  for (const auto& [id, record] : state.devices) {
    if (record.removed()) {
      continue;
    }
    snapshot.devices.assign(1, ViewOf({state, observations, snapshot.policies, now}, id));
    WATTLE_ASSIGN_OR_RETURN(v1::Candidate candidate, scheduler::PlanOnFirstDevice(snapshot, job));
    if (candidate.feasible() || !candidate.permanent()) {
      return absl::OkStatus();
    }
    refusals.push_back(std::move(candidate));
  }
  if (refusals.empty()) {
    // The fleet is empty, and a device may join. A spec without an amount of work is refused all
    // the same.
    return scheduler::PlanJob(snapshot, job).status();
  }
  // Of boards that the same rule refuses, the one of the fewest joules is nearest.
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
    snapshot.devices.assign(
        1, ViewOf({state, observations, snapshot.policies, now}, DeviceId(nearest.device_id())));
    WATTLE_ASSIGN_OR_RETURN(nearest, scheduler::PlanOnFirstDevice(snapshot, job));
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
  const absl::StatusOr<scheduler::JobView> job =
      DryJob(state, observations, inputs, spec, now, /*runs=*/nullptr);
  if (!job.ok()) {
    return std::nullopt;  // Its model is not there yet, for one.
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
