// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Builds the scheduler's view of the state and the observations. Pure.
#include "coordinator/core/planning.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/anti_affinity_jobs.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/exploration.h"
#include "coordinator/core/forecasts.h"
#include "coordinator/core/given_labels.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/model_family_internal.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/moving_for_gain.h"
#include "coordinator/core/paused.h"
#include "coordinator/core/planning_internal.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/profiling.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/releasing.h"
#include "coordinator/core/state.h"
#include "proto/job_kind.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/processor.h"
#include "scheduler/profiles/run_interval.h"
#include "units/quantity.h"

namespace wattle::core {
namespace {

// How long a job avoids a device on which it failed, unless the fleet has no other device.
constexpr absl::Duration kAvoid = absl::Minutes(10);
// Remaining time expected for a hand-over that takes longer than predicted.
constexpr absl::Duration kHandOverLeft = absl::Seconds(30);
// Remaining time expected for such a fetch.
constexpr absl::Duration kFetchLeft = absl::Seconds(30);
// Candidates kept for a waiting job: the choice and the runner-up.
constexpr int kShownOfAPlace = 2;
// For a profile job whose device is missing.
constexpr int64_t kStepsOfAnyPoint = 4;

// Notes that the device is busy with the attempt: until when, and how many gross joules at the
// upper quantile the battery must still supply.
void ReserveDevice(const Outlook& outlook, const AttemptId& attempt_id,
                   scheduler::DeviceView* view) {
  const auto& [state, observations, policies, now] = outlook;
  const v1::Attempt& attempt = *FindAttempt(state, attempt_id);
  // A released attempt only hands over, so the prediction of its run no longer matters.
  if (attempt.released()) {
    view->free_at =
        now.wall + std::max(HandOverTime(state, attempt) -
                                SinceReleased(state, observations, attempt_id, now.monotonic),
                            kHandOverLeft);
    view->hands_over = true;
    view->waits_for = absl::StrCat("its attempt ", attempt_id.value(), " hands over");
    return;
  }
  const double scale = std::max(view->device.info().time_scale(), 1e-9);
  const v1::Prediction& prediction = attempt.prediction();
  const v1::ProfileRow* const probe = ProbeOf(state, attempt);
  // The first steps of the run itself are a better measure than the prediction from before it.
  const v1::Interval seconds =
      probe == nullptr ? prediction.run_seconds()
                       : scheduler::RunInterval(*probe, scheduler::Quantity::kTime,
                                                state.profiles.calibration(), attempt.device_id())
                             .value_or(prediction.run_seconds());
  // Ratio of the upper quantile to the mean. The joules grow in proportion to the time.
  const double upper = seconds.mean() > 0.0 ? std::max(1.0, seconds.high() / seconds.mean()) : 1.0;
  const double lower =
      seconds.mean() > 0.0 ? std::clamp(seconds.low() / seconds.mean(), 0.0, 1.0) : 1.0;
  const double watts = probe != nullptr && probe->power_watts().count() > 0
                           ? probe->power_watts().mean()
                           : prediction.mean_power_watts();
  const absl::Duration remaining = RemainingTime(state, observations, attempt, now.monotonic);
  ExpectedReturn paused = ReturnOf(outlook, attempt, view->device);
  view->goes_on_at = now.wall + paused.in;
  view->free_at = view->goes_on_at + remaining;
  // A guessed end of the pause would give the bounds a false precision.
  if (!paused.is_guess && seconds.high() > 0.0) {
    view->remaining_low = lower * remaining;
    view->remaining_high = upper * remaining;
  }
  view->waits_for = std::move(paused.why);
  view->rests_at_reserve = RestsOf(outlook, attempt, view->device);
  view->probes = probe == nullptr && scheduler::IsWide(prediction);
  view->releasable = ReleasableOf(state, observations, attempt, upper * remaining, now);
  view->running_power = Watts(watts);
  view->committed_energy = Joules(watts * absl::ToDoubleSeconds(remaining) / scale * upper);
}

// Whether the cores of the attempt's device may do the work that failed on its accelerator.
bool MayGoOnByCores(const State& state, const v1::Job& job, const v1::Attempt& attempt) {
  const v1::DeviceRecord* const device = FindDevice(state, DeviceId(attempt.device_id()));
  return device != nullptr && device->info().offers_cpu() && !attempt.on_cpu() &&
         attempt.receipt().failure_class() == v1::FAILURE_CLASS_DEVICE &&
         job.spec().accelerator() != v1::ACCELERATOR_CUDA;
}

// Notes what the attempt brings to its device: its files, and how long it occupies the link.
void NoteFiles(const Outlook& outlook, const v1::Attempt& attempt, scheduler::DeviceView* view) {
  const auto& [state, observations, policies, now] = outlook;
  for (const v1::ResolvedInput& input : FindJob(state, JobId(attempt.job_id()))->job().inputs()) {
    view->coming_artifact_ids.push_back(input.artifact_id());
  }
  const absl::Duration whole = std::max(view->device.info().time_scale(), 1e-9) *
                               absl::Seconds(attempt.prediction().fetch_seconds());
  if (whole <= absl::ZeroDuration() || (attempt.state() != v1::ATTEMPT_STATE_PLACED &&
                                        attempt.state() != v1::ATTEMPT_STATE_FETCHING)) {
    return;
  }
  const absl::Duration since =
      SinceStateChange(state, observations, AttemptId(attempt.attempt_id()), now.monotonic);
  view->fetches_for =
      attempt.state() == v1::ATTEMPT_STATE_PLACED ? whole : std::max(whole - since, kFetchLeft);
}

}  // namespace

void AvoidFailures(const State& state, const Observations& observations, const v1::Job& job,
                   Monotonic now, scheduler::JobView& view) {
  if (IsProfile(job.spec())) {
    return;  // The job is bound to one device, and skips the points that failed.
  }
  std::set<DeviceId> failed;
  std::set<DeviceId> accelerators;
  for (const v1::Attempt& attempt : job.attempts()) {
    const bool failed_here = attempt.state() == v1::ATTEMPT_STATE_FAILED &&
                             attempt.receipt().failure_class() != v1::FAILURE_CLASS_JOB;
    // A job that left its device for a gain goes to the better device and does not return at once.
    const bool moved = attempt.released_for_gain() &&
                       attempt.attempt_id() == job.attempts().rbegin()->attempt_id();
    if ((failed_here || moved) &&
        SinceStateChange(state, observations, AttemptId(attempt.attempt_id()), now) < kAvoid) {
      const bool by_accelerator = failed_here && MayGoOnByCores(state, job, attempt);
      (by_accelerator ? accelerators : failed).insert(DeviceId(attempt.device_id()));
    }
  }
  view.avoided_accelerators = {accelerators.begin(), accelerators.end()};
  for (const auto& [id, record] : state.devices) {
    // Avoids the failed devices only while another one remains.
    if (!record.removed() && !record.drained() && MayWork(state, id) && !failed.contains(id)) {
      view.avoided_devices = {failed.begin(), failed.end()};
      return;
    }
  }
}

PeakMemory PeakMemoryOf(const State& state, const PlanningInputs& inputs, const v1::JobSpec& spec,
                        const std::vector<scheduler::InputView>& views) {
  if (!inputs.estimate_memory) {
    return {};
  }
  const v1::ModelShape* shape = DeclaredModel(spec);
  v1::JobSpec whole = spec;
  const v1::ArtifactInfo* model = scheduler::FindInput(views, kModelInput);
  if (model != nullptr && model->has_model_shape()) {
    shape = &model->model_shape();
    whole = WithRecipe(std::move(whole), *model);
  }
  return shape == nullptr ? PeakMemory()
                          : inputs.estimate_memory(whole, *shape, DataMemoryOf(state, spec, views));
}

// The device with its running attempt. Waiting attempts have their own places in a plan of the
// queue.
scheduler::DeviceView ViewOf(const Outlook& outlook, const DeviceId& device) {
  const auto& [state, observations, policies, now] = outlook;
  scheduler::DeviceView view;
  view.device = DescribeDevice(state, observations, device, now);
  if (!state.projects.empty()) {
    MarkGivenLabels(state, *view.device.mutable_info());
  }
  if (const v1::Attempt* const running = RunningOn(state, device); running != nullptr) {
    ReserveDevice(outlook, AttemptId(running->attempt_id()), &view);
    NoteFiles(outlook, *running, &view);
  }
  view.queue_room = QueueRoom(state, observations, device, now.monotonic);
  if (const RunsOfDevice* const runs = state.runs_of_device.Find(device); runs != nullptr) {
    view.runs_ended = runs->ended;
    view.runs_stopped_by_charge = runs->stopped_by_charge;
  }
  if (!state.forecasts.empty()) {
    view.sun_forecast = TrustedForecast(state, observations, view.device.info(), now.wall);
  }
  return view;
}

v1::ProfilePoint AnyPointOf(const v1::JobSpec& spec) {
  v1::ProfilePoint point;
  const int64_t batch = spec.profile().batch_sizes_size() > 0
                            ? spec.profile().batch_sizes(0)
                            : IntegerIn(WorkloadOf(spec), "batch_size");
  point.set_batch_size(static_cast<int32_t>(std::max<int64_t>(1, batch)));
  point.set_steps(kStepsOfAnyPoint);
  return point;
}

std::function<bool(const v1::ProfilePoint&)> FitsOn(
    const State& state, const PlanningInputs& inputs, const scheduler::DeviceView& device,
    const v1::JobSpec& spec, const std::vector<scheduler::InputView>& views) {
  if (!inputs.estimate_memory) {
    return {};
  }
  const v1::DeviceInfo info =
      scheduler::ProcessorOf(device.device.info(), spec.accelerator() == v1::ACCELERATOR_CPU);
  return [&, info](const v1::ProfilePoint& point) {
    return scheduler::FitsInMemory(info,
                                   PeakMemoryOf(state, inputs, ProfileRunOf(spec, point), views));
  };
}

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

scheduler::Snapshot FleetOf(const State& state, const Observations& observations,
                            const Instant& now) {
  scheduler::Snapshot snapshot = WithoutFleet(state, now.wall);
  std::map<std::string, DeviceDay> days = DeviceDays(state, now.wall);
  for (const auto& [id, record] : state.devices) {
    if (record.removed()) {
      continue;
    }
    scheduler::DeviceView view = ViewOf({state, observations, snapshot.policies, now}, id);
    view.exploration = ExplorationOf(snapshot.policies, view.device, days[id.value()], now.wall);
    snapshot.devices.push_back(std::move(view));
  }
  return snapshot;
}

scheduler::JobView JobViewOf(const State& state, const Observations& observations,
                             const v1::JobRecord& record, const Instant& now) {
  const v1::Job& job = record.job();
  scheduler::JobView view;
  view.id = JobId(job.job_id());
  view.spec = WithLabelsOfProject(state, job.spec().project(), job.spec());
  view.submitted = now.wall - JobAge(state, observations, record, now.monotonic);
  view.inputs = ViewsOf(state, job);
  view.checkpoint_step = record.checkpoint().step();
  view.spent = SpentEnergy(job);
  AvoidFailures(state, observations, job, now.monotonic, view);
  return view;
}

namespace {

// Makes the view that of the job's next run, or of its end.
void DescribeRun(const State& state, const PlanningInputs& inputs,
                 const scheduler::Snapshot& snapshot, const v1::Job& job,
                 scheduler::JobView& view) {
  const v1::Attempt* const live = LiveAttempt(job);
  view.profile_point = live != nullptr ? live->profile_point() : AnyPointOf(job.spec());
  const auto device = std::find_if(
      snapshot.devices.begin(), snapshot.devices.end(), [&](const scheduler::DeviceView& each) {
        return view.profiled_device == DeviceId(each.device.info().device_id());
      });
  if (live == nullptr && device != snapshot.devices.end()) {
    const ProfileAsk ask{.state = state,
                         .job = job,
                         .inputs = view.inputs,
                         .device = device->device,
                         .fits = FitsOn(state, inputs, *device, job.spec(), view.inputs),
                         .now = snapshot.now,
                         .choose = device->device.connected() && device->free_at <= snapshot.now};
    // Without an amount of work the planner reports the fault of the job.
    if (absl::StatusOr<ProfileStep> step = NextProfileStep(ask); step.ok()) {
      view.profile_end = std::move(step->end);
      view.profile_point = step->point.value_or(*view.profile_point);
      view.profile_demand = step->demand;
    }
  }
  view.spec = WithLabelsOfProject(state, job.spec().project(),
                                  ProfileRunOf(job.spec(), *view.profile_point));
}

// Where the latest plan had the job wait for its start; nullopt: it had no place.
std::optional<scheduler::LastPlace> LastPlaceOf(const Observations& observations,
                                                const JobId& job) {
  if (observations.waiting == nullptr) {
    return std::nullopt;
  }
  const auto found = observations.waiting->find(job);
  if (found == observations.waiting->end() || !found->second.place.wait()) {
    return std::nullopt;
  }
  const v1::Placement& place = found->second.place;
  return scheduler::LastPlace{
      .device = DeviceId(place.device_id()),
      .start = absl::UnixEpoch() + absl::Seconds(place.expected_start_unix_seconds())};
}

}  // namespace

scheduler::Snapshot MakeSnapshot(const State& state, const Observations& observations,
                                 const PlanningInputs& inputs, const Instant& now) {
  scheduler::Snapshot snapshot = FleetOf(state, observations, now);
  snapshot.transfers_per_site = inputs.transfers_per_site;
  AddAntiAffinityGroups(state, /*asked=*/nullptr, snapshot);
  const std::set<JobId> results_to_come = JobsWithResultsToCome(observations, now.monotonic);
  for (const int64_t number : state.open_jobs) {
    const v1::JobRecord& record = state.jobs.at(number);
    const v1::Job& job = record.job();
    const bool moves = MoveOf(state, observations, record, now).has_value();
    const v1::Attempt* const live = LiveAttempt(job);
    // Waiting attempts are planned again, so that their jobs can leave for a better device.
    const bool waits = live != nullptr && MayWithdraw(state, observations, *live, now.monotonic);
    if (!moves && !waits &&
        (job.state() != v1::JOB_STATE_QUEUED ||
         InBackoff(state, observations, record, now.monotonic) ||
         results_to_come.contains(JobId(job.job_id())))) {
      continue;
    }
    scheduler::JobView view = JobViewOf(state, observations, record, now);
    if (IsProfile(job.spec())) {
      view.profiled_device = ProfiledDevice(state, observations, job);
      DescribeRun(state, inputs, snapshot, job, view);
    }
    if (moves) {
      // Otherwise the plan could choose the very device that the job has to leave.
      view.avoided_devices.emplace_back(live->device_id());
    } else if (waits) {
      view.queued_on = DeviceId(live->device_id());
    }
    view.last_place = LastPlaceOf(observations, view.id);
    view.peak_memory = PeakMemoryOf(state, inputs, view.spec, view.inputs);
    view.models = FamilyOf(state, inputs, view.spec, view.inputs);
    snapshot.queue.push_back(std::move(view));
  }
  snapshot.running = RestsOf({state, observations, snapshot.policies, now}, inputs, snapshot);
  return snapshot;
}

bool AnythingToPlan(const State& state, const Observations& observations, const Instant& now) {
  return std::any_of(
             state.open_jobs.begin(), state.open_jobs.end(),
             [&](int64_t number) {
               const v1::JobRecord& record = state.jobs.at(number);
               const v1::Attempt* const live = LiveAttempt(record.job());
               return record.job().state() == v1::JOB_STATE_QUEUED ||
                      (live != nullptr && MayWithdraw(state, observations, *live, now.monotonic)) ||
                      MoveOf(state, observations, record, now).has_value();
             }) ||
         MayMoveAnyForGain(state, observations, now);
}

namespace {

// A job without a device gets its reason from WhyNotNow.
void KeepForPeople(v1::Placement& place) {
  place.clear_refusals();
  if (place.device_id().empty()) {
    place.clear_best();
    place.clear_reason();
    return;
  }
  google::protobuf::RepeatedPtrField<v1::Candidate> best;
  for (int i = 0; i < std::min(place.best_size(), kShownOfAPlace); ++i) {
    const v1::Candidate& candidate = place.best(i);
    v1::Candidate& shown = *best.Add();
    shown.set_device_id(candidate.device_id());
    shown.set_device_name(candidate.device_name());
    shown.set_feasible(candidate.feasible());
    shown.set_cost(candidate.cost());
    shown.set_marginal_energy_joules(candidate.marginal_energy_joules());
    shown.set_has_battery(candidate.has_battery());
    shown.set_start_state_of_charge_ratio(candidate.start_state_of_charge_ratio());
  }
  place.mutable_best()->Swap(&best);
}

}  // namespace

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
    KeepForPeople(job.place);
  }
  return waiting;
}

PlanComputed ComputePlan(const scheduler::Snapshot& snapshot) {
  scheduler::QueueAndMoves fleet = scheduler::PlanQueueAndMoves(snapshot);
  PlanComputed plan{snapshot.sequence, std::move(fleet.jobs), std::move(fleet.moves),
                    fleet.proposals_dropped};
  ChooseQueued(snapshot, fleet.free_at, plan.jobs);
  return plan;
}

}  // namespace wattle::core
