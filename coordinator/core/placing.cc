// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Moves attempts without a report: by a computed plan, a hello, or time. Pure.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/apart_jobs.h"
#include "coordinator/core/core.h"
#include "coordinator/core/draft_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/exploration.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/lineage_internal.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/moving_for_gain.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/releasing.h"
#include "coordinator/core/retry_policy.h"
#include "coordinator/core/state.h"
#include "scheduler/predict/measured_rates.h"
#include "units/format.h"

namespace wattle::core {
namespace {

// How long a device that hands an attempt over may bring nothing more of its checkpoint, which may
// cross a slow link. A silent device that has begun may have a link once a day.
constexpr absl::Duration kReleasePatience = absl::Hours(1);
constexpr absl::Duration kSilentReleasePatience = absl::Hours(26);
// An attempt leaves a device that answers, and for so long did not accept it or had a sick disk:
// such a device cannot save that it stops, nor report it.
constexpr absl::Duration kWithdrawAfter = absl::Minutes(2);

// Whether no event since the plan was computed changed the job or the device.
bool IsFresh(const State& state, const v1::JobRecord& record, const DeviceId& device,
             SequenceNumber computed_on) {
  const auto times = state.job_times.find(JobNumber(record.job().job_id()).value_or(0));
  const auto changed = state.device_changed.find(device);
  return (times == state.job_times.end() || times->second.changed <= computed_on) &&
         (changed == state.device_changed.end() || changed->second <= computed_on);
}

bool IsFree(const Draft& draft, const DeviceId& device, const std::set<DeviceId>& taken) {
  const v1::DeviceRecord* host = FindDevice(draft.state(), device);
  return host != nullptr && !host->drained() && !taken.contains(device) &&
         (MayWork(draft.state(), device) || WATTLE_FAULT_POINT("work for the revoked")) &&
         !draft.state().wanted_attempts.contains(device) &&
         IsCaughtUp(draft.observations(), device) &&
         IsReachable(draft.observations(), device, draft.now().monotonic);
}

bool InputsAreThere(const State& state, const v1::Job& job, const v1::ModelChoice& choice) {
  if (!choice.artifact_id().empty() &&
      !state.artifacts.contains(ArtifactId(choice.artifact_id()))) {
    return false;
  }
  return std::all_of(job.inputs().begin(), job.inputs().end(), [&](const v1::ResolvedInput& input) {
    return state.artifacts.contains(ArtifactId(input.artifact_id()));
  });
}

// Whether the job may be placed on `device` now. A queued job may once its backoff is over, unless
// a result of it is on its way. An
// active job may if its device is silent for longer than the lease; its attempt then ends. If the
// device can still hand the attempt over, the attempt is only released, and a later plan places the
// job once the device has handed it over.
bool LeaveQueueOrDevice(Draft& draft, const v1::JobRecord& record, const DeviceId& device,
                        const std::set<JobId>& results_to_come) {
  const State& state = draft.state();
  const v1::Job& job = record.job();
  if (job.state() == v1::JOB_STATE_QUEUED) {
    return !results_to_come.contains(JobId(job.job_id())) &&
           !InBackoff(state, draft.observations(), record, draft.now().monotonic);
  }
  const v1::Attempt* live = job.state() == v1::JOB_STATE_ACTIVE ? LiveAttempt(job) : nullptr;
  if (live == nullptr || live->device_id() == device.value()) {
    return false;
  }
  const std::optional<Move> move = MoveOf(state, draft.observations(), record, draft.now());
  if (!move.has_value()) {
    return false;
  }
  if (move->device_is_silent) {
    draft.SetAttempt(*live, v1::ATTEMPT_STATE_SUPERSEDED, move->reason, nullptr);
    return true;
  }
  v1::AttemptReleased& released = *draft.Add().mutable_attempt_released();
  released.set_attempt_id(live->attempt_id());
  released.set_reason(move->reason);
  return false;
}

// The newest earlier attempt of the job on the device, which may still hold its checkpoint.
std::string EarlierAttempt(const v1::Job& job, const std::string& device_id) {
  for (auto attempt = job.attempts().rbegin(); attempt != job.attempts().rend(); ++attempt) {
    if (attempt->device_id() == device_id) {
      return attempt->attempt_id();
    }
  }
  return "";
}

// The journal records when a job becomes impossible and when it becomes possible again. Other
// reasons change with every plan: readers see them (Observations::waiting), and the journal
// never has them.
void NoteWhetherPossible(Draft& draft, const v1::JobRecord& record,
                         const scheduler::QueuePlacement& planned) {
  if (planned.never == record.impossible() ||
      InBackoff(draft.state(), draft.observations(), record, draft.now().monotonic)) {
    return;
  }
  draft.SetJob(record.job().job_id(), v1::JOB_STATE_QUEUED, WhyNotNow(draft.state(), planned));
  draft.decision().events.back().mutable_job_state_changed()->set_impossible(planned.never);
}

// Releases the attempt that leaves its device for the job's deadline, if that still holds.
void ReleaseForDeadline(Draft& draft, const v1::JobRecord& record,
                        const scheduler::QueuePlacement& planned) {
  const State& state = draft.state();
  const v1::Job& job = record.job();
  const v1::Attempt* const attempt = FindAttempt(state, planned.releases);
  // One attempt leaves for a job, however often a plan asks until the job is placed.
  if (job.state() != v1::JOB_STATE_QUEUED || record.released_attempt_ids_size() > 0 ||
      attempt == nullptr || !MayRelease(state, draft.observations(), *attempt, draft.now())) {
    return;
  }
  const v1::JobRecord& released = *FindJob(state, JobId(attempt->job_id()));
  if (released.job().spec().priority() > job.spec().priority()) {
    return;
  }
  const absl::Duration left = absl::Seconds(job.spec().deadline_seconds()) -
                              JobAge(state, draft.observations(), record, draft.now().monotonic);
  v1::AttemptReleased& event = *draft.Add().mutable_attempt_released();
  event.set_attempt_id(attempt->attempt_id());
  event.set_for_job_id(job.job_id());
  const std::string reason =
      absl::StrCat("left ", DeviceName(state, attempt->device_id()), " to ", job.job_id(),
                   ", whose deadline was ", FormatElapsed(left), " away");
  event.set_reason(reason);
  // What waits behind the attempt would begin in its place.
  for (const v1::Attempt* const other : AttemptsOn(state, DeviceId(attempt->device_id()))) {
    Withdraw(draft, *other, reason);
  }
}

// Releases the attempt whose job goes on at a lower cost elsewhere, if that still holds.
void ReleaseForGain(Draft& draft, const scheduler::GainfulMove& move, SequenceNumber computed_on) {
  const v1::Attempt* const attempt = FindAttempt(draft.state(), move.attempt);
  const v1::JobRecord* const record =
      attempt == nullptr ? nullptr : FindJob(draft.state(), JobId(attempt->job_id()));
  if (record == nullptr || !IsFresh(draft.state(), *record, move.device, computed_on) ||
      !IsFree(draft, move.device, {}) ||
      !MayMoveForGain(draft.state(), draft.observations(), *record, draft.now())) {
    return;
  }
  v1::AttemptReleased& released = *draft.Add().mutable_attempt_released();
  released.set_attempt_id(attempt->attempt_id());
  released.set_for_gain(true);
  released.set_reason(move.reason);
}

// Takes the job from a device on which its first steps told that it must miss its deadline, if no
// other device of the fleet can meet it either. The job then waits with its checkpoint, and fails
// as one that nobody can run, unless a device joins in time.
void ReleaseHopeless(Draft& draft, const v1::JobRecord& record) {
  const std::optional<Move> move = MoveOf(draft.state(), draft.observations(), record, draft.now());
  if (!move.has_value() || !move->misses_for_certain) {
    return;
  }
  v1::AttemptReleased& released = *draft.Add().mutable_attempt_released();
  released.set_attempt_id(LiveAttempt(record.job())->attempt_id());
  released.set_reason(move->reason);
}

// An attempt in the making.
struct NewAttempt {
  SequenceNumber computed_on;
  int64_t fencing_token = 0;
  // Of an attempt that waits on its device behind others:
  std::string after_attempt_id{};
  double lease_seconds_ahead = 0;
};

absl::Duration ToDeadline(const Draft& draft, const v1::JobRecord& record) {
  const double deadline_seconds = record.job().spec().deadline_seconds();
  return deadline_seconds <= 0.0
             ? absl::InfiniteDuration()
             : absl::Seconds(deadline_seconds) -
                   JobAge(draft.state(), draft.observations(), record, draft.now().monotonic);
}

// Returns the attempt's event.
v1::AttemptPlaced Place(Draft& draft, const v1::JobRecord& record,
                        const scheduler::QueuePlacement& planned, const NewAttempt& attempt) {
  const v1::Job& job = record.job();
  v1::Placement placement = planned.placement;
  v1::AttemptPlaced placed;
  placed.set_attempt_id(
      absl::StrCat(job.job_id(), ".",
                   EpochOf(draft.state()) * kAttemptNumbersOfAnEpoch + job.attempts_size() + 1));
  placed.set_job_id(job.job_id());
  placed.set_device_id(placement.device_id());
  placed.set_fencing_token(attempt.fencing_token);
  const Lease lease = LeaseFor(draft.state(), draft.observations(),
                               {.spec = job.spec(),
                                .prediction = planned.prediction,
                                .device = DeviceId(placement.device_id()),
                                .sole = planned.sole,
                                .to_deadline = ToDeadline(draft, record),
                                .ahead_seconds = attempt.lease_seconds_ahead});
  placed.set_lease_seconds(lease.seconds);
  placed.set_power_mode(planned.power_mode);
  if (planned.prediction.has_run_seconds()) {
    *placed.mutable_prediction() = planned.prediction;
  }
  if (!planned.model_choice.artifact_id().empty()) {
    *placed.mutable_model_choice() = planned.model_choice;
  }
  placed.set_computed_on(attempt.computed_on.value());
  if (planned.profile_point.has_value()) {
    *placed.mutable_profile_point() = *planned.profile_point;
  } else {
    placed.set_resume_attempt_id(EarlierAttempt(job, placement.device_id()));
  }
  placed.set_after_attempt_id(attempt.after_attempt_id);
  *placed.mutable_released_attempt_ids() = record.released_attempt_ids();
  if (planned.sole && !placement.reason().empty()) {
    placement.set_reason(absl::StrCat(placement.reason(), "; ", lease.why));
  }
  *placed.mutable_placement() = std::move(placement);
  *draft.Add().mutable_attempt_placed() = placed;
  draft.SetJob(job.job_id(), v1::JOB_STATE_ACTIVE,
               absl::StrCat("placed on ", DeviceName(draft.state(), placed.device_id())));
  return placed;
}

// Sends the job to a busy device, where it waits.
void Queue(Draft& draft, const v1::JobRecord& record, const scheduler::QueuePlacement& planned,
           NewAttempt attempt, NewlyQueued& queued) {
  const DeviceId device(planned.placement.device_id());
  attempt.after_attempt_id = LastOn(draft.state(), queued, device);
  attempt.lease_seconds_ahead = LeasesAhead(draft.state(), queued, device);
  const v1::AttemptPlaced placed = Place(draft, record, planned, attempt);
  queued.attempts[device].push_back(placed.attempt_id());
  queued.lease_seconds[device] = placed.lease_seconds();
}

// The plan has a better use of the device, or a better device for the job.
std::string WhyGivenBack(const State& state, const scheduler::QueuePlacement& planned) {
  return planned.placement.wait() ? "left its place on the device to a job that goes first"
                                  : absl::StrCat("left its place on the device for ",
                                                 DeviceName(state, planned.placement.device_id()),
                                                 ", which can begin it at once");
}

// Ends a profile job that has no further run, unless something happened since.
void EndProfile(Draft& draft, const v1::JobRecord& record, const scheduler::QueuePlacement& planned,
                SequenceNumber computed_on) {
  if (record.job().state() == v1::JOB_STATE_QUEUED &&
      IsFresh(draft.state(), record, DeviceId(""), computed_on)) {
    draft.EndJob(record.job(),
                 planned.profile_end->measured ? v1::JOB_STATE_SUCCEEDED : v1::JOB_STATE_FAILED,
                 planned.profile_end->why, "");
  }
}

}  // namespace

std::string WhyNotNow(const State& state, const scheduler::QueuePlacement& planned) {
  const v1::Placement& placement = planned.placement;
  if (!placement.device_id().empty()) {
    const std::string device = DeviceName(state, placement.device_id());
    return planned.refused_until_start.empty()
               ? absl::StrCat("waits for ", device, ", the better device, which is busy")
               : absl::StrCat("waits for ", device, ": ", planned.refused_until_start);
  }
  return placement.reason().empty() ? "no device is connected" : placement.reason();
}

void DecidePlan(Draft& draft, const PlanComputed& command) {
  const State& state = draft.state();
  std::set<DeviceId> taken;
  std::set<std::string> seen;
  const std::set<JobId> results_to_come =
      JobsWithResultsToCome(draft.observations(), draft.now().monotonic);
  int64_t token = state.next_fencing_token.value();
  NewlyQueued queued;
  PlannedExploring exploring(state, draft.observations(), draft.now());
  for (const scheduler::QueuePlacement& planned : command.jobs) {
    const v1::JobRecord* record = FindJob(state, planned.job);
    if (record == nullptr || !seen.insert(planned.job.value()).second) {
      continue;
    }
    if (planned.profile_end.has_value()) {
      EndProfile(draft, *record, planned, command.computed_on);
      continue;
    }
    const bool starts = !planned.placement.device_id().empty() && !planned.placement.wait();
    if (record->job().state() == v1::JOB_STATE_QUEUED && !starts) {
      NoteWhetherPossible(draft, *record, planned);
    }
    const DeviceId device(planned.placement.device_id());
    if (record->job().state() == v1::JOB_STATE_ACTIVE && planned.never &&
        IsFresh(state, *record, device, command.computed_on)) {
      ReleaseHopeless(draft, *record);
    }
    if (const v1::Attempt* const live = LiveAttempt(record->job());
        planned.withdraw && live != nullptr &&
        IsFresh(state, *record, device, command.computed_on)) {
      Withdraw(draft, *live, WhyGivenBack(state, planned));
    }
    if (!planned.releases.value().empty() && IsFresh(state, *record, device, command.computed_on)) {
      ReleaseForDeadline(draft, *record, planned);
    }
    if (starts && IsFresh(state, *record, device, command.computed_on) &&
        IsFree(draft, device, taken) &&
        InputsAreThere(state, record->job(), planned.model_choice) &&
        exploring.Fits(record->job().spec(), planned) &&
        !IsPlaceTaken(state, record->job(), device) &&
        LeaveQueueOrDevice(draft, *record, device, results_to_come)) {
      Place(draft, *record, planned, {command.computed_on, token++});
      taken.insert(device);
    } else if (planned.queue && record->job().state() == v1::JOB_STATE_QUEUED &&
               IsFresh(state, *record, device, command.computed_on) &&
               InputsAreThere(state, record->job(), planned.model_choice) &&
               exploring.Fits(record->job().spec(), planned) &&
               !IsPlaceTaken(state, record->job(), device) &&
               LeaveQueueOrDevice(draft, *record, device, results_to_come) &&
               MayQueue(draft, record->job(), planned, queued)) {
      token -= WATTLE_FAULT_POINT("queued token shared") ? 1 : 0;
      Queue(draft, *record, planned, {command.computed_on, token++}, queued);
    }
  }
  for (const scheduler::GainfulMove& move : command.moves) {
    ReleaseForGain(draft, move, command.computed_on);
  }
}

namespace {

// The device's description without the idle watts. The device measures its idle watts again and
// again, and heartbeats report them.
std::string HardwareOf(v1::DeviceInfo info) {
  info.clear_idle_power_watts();
  return info.SerializeAsString();
}

// Rates that no board of the class has teach nothing, and the device's findings say so.
void LeaveOutBadRates(v1::DeviceInfo& info) {
  const auto told = info.rates();
  info.clear_rates();
  for (const v1::MeasuredRates& rates : told) {
    const std::string problem = scheduler::RateProblemOn(info, rates);
    if (problem.empty()) {
      *info.add_rates() = rates;
    } else {
      info.add_findings(absl::StrCat(
          "measured rates", rates.power_mode().empty() ? "" : " of power mode ", rates.power_mode(),
          " are not used: ", problem, "; run 'wattle-worker probe --rates' again"));
    }
  }
}

// A drained or released device that no longer holds an attempt will never report its stop.
void EndNotHeld(Draft& draft, const v1::Hello& hello, const v1::DeviceRecord& record) {
  const State& state = draft.state();
  for (const v1::Attempt* const attempt : AttemptsOn(state, DeviceId(hello.device().device_id()))) {
    const bool held = std::any_of(
        hello.attempts().begin(), hello.attempts().end(), [&](const v1::HeldAttempt& one) {
          // A hello of version 0.1 names no tokens.
          return one.attempt_id() == attempt->attempt_id() &&
                 (one.fencing_token() == 0 || one.fencing_token() == attempt->fencing_token());
        });
    if (held || !(record.drained() || attempt->released())) {
      continue;
    }
    const std::string reason =
        record.drained() ? absl::StrCat(hello.device().name(), " is drained and does not hold it")
                         : attempt->reason();
    draft.SetAttempt(*attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    draft.Requeue(attempt->job_id(), reason);
  }
}

void SetProblem(Draft& draft, const v1::DeviceInfo& device, absl::string_view problem) {
  v1::DeviceProblemChanged& changed = *draft.Add().mutable_device_problem_changed();
  changed.set_device_id(device.device_id());
  changed.set_problem(std::string(problem));
}

// A worker that is not served is shown among the devices, with its version and the remedy.
void RefuseProtocol(Draft& draft, const v1::Hello& hello, const absl::Status& problem) {
  const v1::DeviceRecord* const record =
      FindDevice(draft.state(), DeviceId(hello.device().device_id()));
  draft.Refuse(problem);
  if (record == nullptr || record->removed() ||
      record->info().worker_version() != hello.device().worker_version()) {
    v1::DeviceRegistered& registered = *draft.Add().mutable_device_registered();
    *registered.mutable_info() = hello.device();
    registered.mutable_info()->clear_rates();
    registered.set_incarnation(hello.incarnation());
  }
  if (record == nullptr || record->problem().empty() ||
      (IsProtocolProblem(record->problem()) && record->problem() != problem.message())) {
    SetProblem(draft, hello.device(), problem.message());
  }
}

}  // namespace

void DecideHello(Draft& draft, const WorkerHello& command) {
  const v1::Hello& hello = command.hello;
  if (absl::Status valid = ValidateHello(hello); !valid.ok()) {
    draft.Refuse(valid);
    return;
  }
  if (const absl::Status served = CheckProtocol(hello); !served.ok()) {
    RefuseProtocol(draft, hello, served);
    return;
  }
  if (!command.rival.empty()) {
    RefuseRival(draft, command);
    return;
  }
  if (!CheckLineage(draft, hello) ||
      (IsOfThisOpening(draft.state(), hello) && !CheckIdentity(draft, hello))) {
    return;
  }
  const State& state = draft.state();
  const DeviceId device(hello.device().device_id());
  v1::DeviceInfo info = hello.device();
  if (info.time_scale() == 0.0) {
    info.set_time_scale(1.0);
  }
  LeaveOutBadRates(info);
  const v1::DeviceRecord* record = FindDevice(state, device);
  if (record == nullptr || record->incarnation() != hello.incarnation() || record->removed() ||
      HardwareOf(record->info()) != HardwareOf(info)) {
    v1::DeviceRegistered& registered = *draft.Add().mutable_device_registered();
    *registered.mutable_info() = info;
    registered.set_incarnation(hello.incarnation());
  }
  const v1::ReportMark* known = FindMark(state, device, hello.incarnation());
  const int64_t mark = known == nullptr ? 0 : known->sequence();
  if (record != nullptr && IsProtocolProblem(record->problem())) {
    SetProblem(draft, info, "");
  }
  if (record != nullptr) {
    EndNotHeld(draft, hello, *record);
  }
  if (IsOfThisOpening(state, hello) && MayWork(state, device)) {
    RecoverHeldAttempts(draft, hello);
  }
  Decision& decision = draft.decision();
  decision.id = device.value();
  decision.effects.emplace_back(Acknowledge{device, hello.incarnation(), mark});
  decision.effects.emplace_back(DesiredSetChanged{device});
  decision.effects.emplace_back(QueueChanged{});
}

namespace {

// A job that has not started by its deadline fails, because no device may start it any more.
void EndOverdue(Draft& draft, const v1::JobRecord& record) {
  const v1::Job& job = record.job();
  const absl::Duration deadline = absl::Seconds(job.spec().deadline_seconds());
  if (deadline <= absl::ZeroDuration() || WATTLE_FAULT_POINT("deadline") ||
      JobAge(draft.state(), draft.observations(), record, draft.now().monotonic) <= deadline) {
    return;
  }
  const std::string passed = absl::StrCat("its deadline of ", FormatElapsed(deadline), " passed ");
  if (job.state() != v1::JOB_STATE_ACTIVE) {
    const auto& waiting = draft.observations().waiting;
    const auto found =
        waiting == nullptr ? decltype(waiting->end()){} : waiting->find(JobId(job.job_id()));
    const bool known = waiting != nullptr && found != waiting->end();
    draft.EndJob(job, v1::JOB_STATE_FAILED,
                 absl::StrCat(passed, "before it could start",
                              known ? absl::StrCat(": ", found->second.why) : ""),
                 "");
    return;
  }
  const v1::Attempt* live = LiveAttempt(job);
  if (live == nullptr) {
    return;
  }
  // A running attempt may end after the deadline. An attempt that stands still ends now: no other
  // device may take the job any more, so the attempt would hold the job without end.
  const std::string device = DeviceName(draft.state(), live->device_id());
  std::string reason;
  if (MayWithdraw(draft.state(), draft.observations(), *live, draft.now().monotonic) &&
      IsCaughtUp(draft.observations(), DeviceId(live->device_id()))) {
    reason = absl::StrCat(passed, "while it waited on ", device, " behind ",
                          AheadOf(draft.state(), *live));
  } else if (live->state() == v1::ATTEMPT_STATE_PAUSED) {
    reason = absl::StrCat(passed, "while it was paused on ", device, ": ", live->reason());
  } else if (LeaseIsOver(draft.state(), draft.observations(), *live, draft.now().monotonic)) {
    reason =
        absl::StrCat(passed, "and nothing was heard of ", device, " for longer than its lease");
  }
  if (!reason.empty()) {
    draft.SetAttempt(*live, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    draft.EndJob(job, v1::JOB_STATE_FAILED, reason, "");
  }
}

void EndImpossible(Draft& draft, const v1::JobRecord& record) {
  const Observations& observations = draft.observations();
  const absl::Duration since =
      ImpossibleFor(draft.state(), observations, record, draft.now().monotonic);
  if (record.impossible() && !observations.hold_impossible &&
      since >= observations.impossible_grace) {
    draft.EndJob(record.job(), v1::JOB_STATE_FAILED, record.job().reason(), "");
  }
}

absl::Duration ReleasePatience(const Draft& draft, const v1::Attempt& attempt) {
  const auto& devices = draft.observations().devices;
  const auto device = devices.find(DeviceId(attempt.device_id()));
  const bool begun =
      device != devices.end() && device->second.hand_over.attempt.value() == attempt.attempt_id();
  const bool silent =
      !IsReachable(draft.observations(), DeviceId(attempt.device_id()), draft.now().monotonic);
  return begun && silent ? kSilentReleasePatience : kReleasePatience;
}

// Ends a released attempt whose hand-over stands still.
void EndUnansweredRelease(Draft& draft, const v1::Attempt& attempt) {
  if (attempt.released() &&
      SinceHandOverAdvanced(draft.state(), draft.observations(), attempt, draft.now().monotonic) >
          ReleasePatience(draft, attempt)) {
    draft.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, attempt.reason(), nullptr);
    draft.Requeue(attempt.job_id(), attempt.reason());
  }
}

// Why the attempt leaves its device without the device's report; "": it stays.
std::string WhyWithdrawn(const Draft& draft, const v1::Attempt& attempt) {
  const Observations& observations = draft.observations();
  const AttemptId id(attempt.attempt_id());
  const DeviceId device_id(attempt.device_id());
  const Monotonic now = draft.now().monotonic;
  const auto device = observations.devices.find(device_id);
  const auto progress = observations.progress.find(id);
  const bool uploads =
      progress != observations.progress.end() && progress->second.phase() == "upload";
  if (device == observations.devices.end() || uploads ||
      !IsReachable(observations, device_id, now)) {
    return "";
  }
  const std::string name = DeviceName(draft.state(), attempt.device_id());
  const std::optional<Monotonic> sick_since = device->second.storage_sick_since;
  const Monotonic heard_since =
      std::max(observations.listening_since, device->second.connected_since);
  if (sick_since && now - std::max(*sick_since, heard_since) > kWithdrawAfter) {
    return absl::StrCat("withdrawn from ", name, ": ", device->second.heartbeat.storage_problem());
  }
  const absl::Duration waits =
      std::min(now - heard_since, SincePlaced(draft.state(), observations, id, now));
  if (attempt.state() == v1::ATTEMPT_STATE_PLACED && waits > kWithdrawAfter) {
    return absl::StrCat("withdrawn from ", name, ", which did not accept it for ",
                        FormatElapsed(kWithdrawAfter));
  }
  return "";
}

void EndWithdrawn(Draft& draft, const v1::Job& job, const v1::Attempt& attempt) {
  const std::string reason = WhyWithdrawn(draft, attempt);
  if (!reason.empty()) {
    draft.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    draft.Requeue(attempt.job_id(), reason,
                  BackoffAfterStop(job, {v1::FAILURE_CLASS_UNSPECIFIED, attempt.device_id(),
                                         attempt.reached_step()}));
  }
}

void EndTimedOut(Draft& draft, const v1::Job& job, const v1::Attempt& attempt) {
  const auto progress = draft.observations().progress.find(AttemptId(attempt.attempt_id()));
  const double timeout_seconds = job.spec().timeout_seconds();
  if (timeout_seconds <= 0.0 || progress == draft.observations().progress.end() ||
      progress->second.elapsed_seconds() <= timeout_seconds) {
    return;
  }
  const std::string why = absl::StrCat("ran longer than timeout_seconds: ", timeout_seconds);
  draft.FailAttempt(attempt, why);
  draft.AfterFailure(job, {v1::FAILURE_CLASS_JOB, attempt.device_id(), attempt.reached_step()},
                     why);
}

}  // namespace

// Drafts at most one change for each job: the next tick sees the change of this one.
void DecideTick(Draft& draft) {
  const State& state = draft.state();
  for (const int64_t number : state.open_jobs) {
    const v1::JobRecord& record = state.jobs.at(number);
    const size_t events = draft.decision().events.size();
    EndOverdue(draft, record);
    if (draft.decision().events.size() == events && record.impossible()) {
      EndImpossible(draft, record);
    }
    const v1::Attempt* live = LiveAttempt(record.job());
    if (draft.decision().events.size() == events && live != nullptr) {
      EndUnansweredRelease(draft, *live);
    }
    if (draft.decision().events.size() == events && live != nullptr) {
      EndWithdrawn(draft, record.job(), *live);
    }
    if (draft.decision().events.size() == events && live != nullptr) {
      EndTimedOut(draft, record.job(), *live);
    }
    if (draft.decision().events.size() == events && live != nullptr) {
      EndOverBudget(draft, record.job(), *live);
    }
    if (draft.decision().events.size() == events && live != nullptr) {
      DecideProbe(draft, record.job(), *live);
    }
  }
  DecideUpgradeTick(draft);
}

}  // namespace wattle::core
