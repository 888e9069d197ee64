// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Places, releases and queues attempts according to a computed plan. Pure.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/anti_affinity_jobs.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/exploration.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/moving_for_gain.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/releasing.h"
#include "coordinator/core/state.h"
#include "units/format.h"

namespace wattle::core {
namespace {

// Whether no event since the plan was computed changed the job or the device.
bool IsFresh(const State& state, const v1::JobRecord& record, const DeviceId& device,
             SequenceNumber computed_on) {
  const auto times = state.job_times.find(JobNumber(record.job().job_id()).value_or(0));
  const auto changed = state.device_changed.find(device);
  return (times == state.job_times.end() || times->second.changed <= computed_on) &&
         (changed == state.device_changed.end() || changed->second <= computed_on);
}

bool IsFree(const DecisionBuilder& builder, const DeviceId& device,
            const std::set<DeviceId>& taken) {
  const v1::DeviceRecord* host = FindDevice(builder.state(), device);
  return host != nullptr && !host->drained() && !taken.contains(device) &&
         (MayWork(builder.state(), device) || WATTLE_FAULT_POINT("work for the revoked")) &&
         !builder.state().wanted_attempts.contains(device) &&
         IsCaughtUp(builder.observations(), device) &&
         IsReachable(builder.observations(), device, builder.now().monotonic);
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
// one of its results is on its way. An active job may if its device is silent for longer than the
// lease; its attempt then ends. If the device can still hand the attempt over, the attempt is only
// released, and a later plan places the job once the device has handed it over.
bool LeaveQueueOrDevice(DecisionBuilder& builder, const v1::JobRecord& record,
                        const DeviceId& device, const std::set<JobId>& results_to_come) {
  const State& state = builder.state();
  const v1::Job& job = record.job();
  if (job.state() == v1::JOB_STATE_QUEUED) {
    return !results_to_come.contains(JobId(job.job_id())) &&
           !InBackoff(state, builder.observations(), record, builder.now().monotonic);
  }
  const v1::Attempt* live = job.state() == v1::JOB_STATE_ACTIVE ? LiveAttempt(job) : nullptr;
  if (live == nullptr || live->device_id() == device.value()) {
    return false;
  }
  const std::optional<Move> move = MoveOf(state, builder.observations(), record, builder.now());
  if (!move.has_value()) {
    return false;
  }
  if (move->device_is_silent) {
    builder.SetAttempt(*live, v1::ATTEMPT_STATE_SUPERSEDED, move->reason, nullptr);
    return true;
  }
  v1::AttemptReleased& released = *builder.Add().mutable_attempt_released();
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
// reasons change with every plan: readers get them from Observations::waiting, and the journal
// omits them.
void NoteWhetherPossible(DecisionBuilder& builder, const v1::JobRecord& record,
                         const scheduler::QueuePlacement& planned) {
  if (planned.never == record.impossible() ||
      InBackoff(builder.state(), builder.observations(), record, builder.now().monotonic)) {
    return;
  }
  builder.SetJob(record.job().job_id(), v1::JOB_STATE_QUEUED, WhyNotNow(builder.state(), planned));
  builder.decision().events.back().mutable_job_state_changed()->set_impossible(planned.never);
}

// Releases the attempt that leaves its device for the job's deadline, if the reason still applies.
void ReleaseForDeadline(DecisionBuilder& builder, const v1::JobRecord& record,
                        const scheduler::QueuePlacement& planned) {
  const State& state = builder.state();
  const v1::Job& job = record.job();
  const v1::Attempt* const attempt = FindAttempt(state, planned.releases);
  // The job may already wait on a board, even on the one that the attempt leaves.
  const v1::Attempt* const waiting = LiveAttempt(job);
  // Only one attempt leaves for a job, however often plans ask until the job is placed.
  if ((job.state() != v1::JOB_STATE_QUEUED &&
       (waiting == nullptr || !IsQueued(state, *waiting) || waiting->released())) ||
      record.released_attempt_ids_size() > 0 || attempt == nullptr ||
      !MayRelease(state, builder.observations(), *attempt, builder.now())) {
    return;
  }
  const v1::JobRecord& released = *FindJob(state, JobId(attempt->job_id()));
  if (released.job().spec().priority() > job.spec().priority()) {
    return;
  }
  const absl::Duration left =
      absl::Seconds(job.spec().deadline_seconds()) -
      JobAge(state, builder.observations(), record, builder.now().monotonic);
  v1::AttemptReleased& event = *builder.Add().mutable_attempt_released();
  event.set_attempt_id(attempt->attempt_id());
  event.set_for_job_id(job.job_id());
  const std::string reason =
      absl::StrCat("left ", DeviceName(state, attempt->device_id()), " to ", job.job_id(),
                   ", whose deadline was ", FormatElapsed(left), " away");
  event.set_reason(reason);
  // Attempts that wait behind the released one would begin instead of the job, so they leave too.
  for (const v1::Attempt* const other : AttemptsOn(state, DeviceId(attempt->device_id()))) {
    if (other->job_id() != job.job_id()) {
      Withdraw(builder, *other, reason);
    }
  }
  if (waiting != nullptr && waiting->device_id() != attempt->device_id()) {
    Withdraw(builder, *waiting,
             absl::StrCat("left its place on the device for ",
                          DeviceName(state, attempt->device_id()), ", which an attempt leaves"));
  }
}

// Releases the attempt whose job continues at a lower cost elsewhere, if the gain still applies.
void ReleaseForGain(DecisionBuilder& builder, const scheduler::GainfulMove& move,
                    SequenceNumber computed_on) {
  const v1::Attempt* const attempt = FindAttempt(builder.state(), move.attempt);
  const v1::JobRecord* const record =
      attempt == nullptr ? nullptr : FindJob(builder.state(), JobId(attempt->job_id()));
  if (record == nullptr || !IsFresh(builder.state(), *record, move.device, computed_on) ||
      !IsFree(builder, move.device, {}) ||
      !MayMoveForGain(builder.state(), builder.observations(), *record, builder.now())) {
    return;
  }
  v1::AttemptReleased& released = *builder.Add().mutable_attempt_released();
  released.set_attempt_id(attempt->attempt_id());
  released.set_for_gain(true);
  released.set_reason(move.reason);
}

// Takes the job from a device whose first steps showed that it must miss its deadline, if no other
// device of the fleet can meet it either. The job then waits with its checkpoint, and fails as an
// impossible job unless a device joins in time.
void ReleaseHopeless(DecisionBuilder& builder, const v1::JobRecord& record) {
  const std::optional<Move> move =
      MoveOf(builder.state(), builder.observations(), record, builder.now());
  if (!move.has_value() || !move->misses_for_certain) {
    return;
  }
  v1::AttemptReleased& released = *builder.Add().mutable_attempt_released();
  released.set_attempt_id(LiveAttempt(record.job())->attempt_id());
  released.set_reason(move->reason);
}

// A new attempt before its event.
struct NewAttempt {
  SequenceNumber computed_on;
  int64_t fencing_token = 0;
  // For an attempt that waits on its device behind others:
  std::string after_attempt_id{};
  double lease_seconds_ahead = 0;
};

absl::Duration ToDeadline(const DecisionBuilder& builder, const v1::JobRecord& record) {
  const double deadline_seconds = record.job().spec().deadline_seconds();
  return deadline_seconds <= 0.0
             ? absl::InfiniteDuration()
             : absl::Seconds(deadline_seconds) -
                   JobAge(builder.state(), builder.observations(), record, builder.now().monotonic);
}

// Returns the attempt's event.
v1::AttemptPlaced Place(DecisionBuilder& builder, const v1::JobRecord& record,
                        const scheduler::QueuePlacement& planned, const NewAttempt& attempt) {
  const v1::Job& job = record.job();
  v1::Placement placement = planned.placement;
  v1::AttemptPlaced placed;
  placed.set_attempt_id(
      absl::StrCat(job.job_id(), ".",
                   EpochOf(builder.state()) * kAttemptNumbersOfAnEpoch + job.attempts_size() + 1));
  placed.set_job_id(job.job_id());
  placed.set_device_id(placement.device_id());
  placed.set_fencing_token(attempt.fencing_token);
  const Lease lease = LeaseFor(builder.state(), builder.observations(),
                               {.spec = job.spec(),
                                .prediction = planned.prediction,
                                .device = DeviceId(placement.device_id()),
                                .sole = planned.sole,
                                .to_deadline = ToDeadline(builder, record),
                                .ahead_seconds = attempt.lease_seconds_ahead});
  placed.set_lease_seconds(lease.seconds);
  placed.set_power_mode(planned.power_mode);
  placed.set_on_cpu(planned.on_cpu);
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
  *builder.Add().mutable_attempt_placed() = placed;
  builder.SetJob(job.job_id(), v1::JOB_STATE_ACTIVE,
                 absl::StrCat("placed on ", DeviceName(builder.state(), placed.device_id())));
  return placed;
}

// Sends the job to a busy device, where it waits.
void Queue(DecisionBuilder& builder, const v1::JobRecord& record,
           const scheduler::QueuePlacement& planned, NewAttempt attempt, NewlyQueued& queued) {
  const DeviceId device(planned.placement.device_id());
  attempt.after_attempt_id = LastOn(builder.state(), queued, device);
  attempt.lease_seconds_ahead = LeasesAhead(builder.state(), queued, device);
  const v1::AttemptPlaced placed = Place(builder, record, planned, attempt);
  queued.attempts[device].push_back(placed.attempt_id());
  queued.lease_seconds[device] = placed.lease_seconds();
}

// Why the device gives the waiting attempt back: a better use of the device, or a better device.
std::string WhyGivenBack(const State& state, const scheduler::QueuePlacement& planned) {
  if (planned.placement.device_id().empty() || !planned.refused_until_start.empty()) {
    return "left its place on the device, which would begin it before it may start";
  }
  return planned.placement.wait() ? "left its place on the device to a job that goes first"
                                  : absl::StrCat("left its place on the device for ",
                                                 DeviceName(state, planned.placement.device_id()),
                                                 ", which can begin it at once");
}

// Ends a profile job that has no further run, unless its state has changed since the plan.
void EndProfile(DecisionBuilder& builder, const v1::JobRecord& record,
                const scheduler::QueuePlacement& planned, SequenceNumber computed_on) {
  if (record.job().state() == v1::JOB_STATE_QUEUED &&
      IsFresh(builder.state(), record, DeviceId(""), computed_on)) {
    builder.EndJob(record.job(),
                   planned.profile_end->measured ? v1::JOB_STATE_SUCCEEDED : v1::JOB_STATE_FAILED,
                   planned.profile_end->why, "");
  }
}

}  // namespace

std::string WhyNotNow(const State& state, const scheduler::QueuePlacement& planned) {
  const v1::Placement& placement = planned.placement;
  if (!placement.device_id().empty()) {
    const std::string device = DeviceName(state, placement.device_id());
    if (!planned.refused_until_start.empty()) {
      return absl::StrCat("waits for ", device, ": ", planned.refused_until_start);
    }
    // The device may be free although boards of its supply leave too few watts.
    const bool is_busy = RunningOn(state, DeviceId(placement.device_id())) != nullptr;
    return absl::StrCat(
        "waits for ", device,
        is_busy ? ", the better device, which is busy" : ", which the plan keeps for it");
  }
  return placement.reason().empty() ? "no device is connected" : placement.reason();
}

void Decide(DecisionBuilder& builder, const PlanComputed& command) {
  const State& state = builder.state();
  std::set<DeviceId> taken;
  std::set<std::string> seen;
  const std::set<JobId> results_to_come =
      JobsWithResultsToCome(builder.observations(), builder.now().monotonic);
  int64_t token = state.next_fencing_token.value();
  NewlyQueued queued;
  PlannedExploring exploring(state, builder.observations(), builder.now());
  for (const scheduler::QueuePlacement& planned : command.jobs) {
    const v1::JobRecord* record = FindJob(state, planned.job);
    if (record == nullptr || !seen.insert(planned.job.value()).second) {
      continue;
    }
    if (planned.profile_end.has_value()) {
      EndProfile(builder, *record, planned, command.computed_on);
      continue;
    }
    const bool starts = !planned.placement.device_id().empty() && !planned.placement.wait();
    if (record->job().state() == v1::JOB_STATE_QUEUED && !starts) {
      NoteWhetherPossible(builder, *record, planned);
    }
    const DeviceId device(planned.placement.device_id());
    if (record->job().state() == v1::JOB_STATE_ACTIVE && planned.never &&
        IsFresh(state, *record, device, command.computed_on)) {
      ReleaseHopeless(builder, *record);
    }
    if (const v1::Attempt* const live = LiveAttempt(record->job());
        planned.withdraw && live != nullptr &&
        IsFresh(state, *record, device, command.computed_on)) {
      Withdraw(builder, *live, WhyGivenBack(state, planned));
    }
    if (!planned.releases.value().empty() && IsFresh(state, *record, device, command.computed_on)) {
      ReleaseForDeadline(builder, *record, planned);
    }
    if (starts && IsFresh(state, *record, device, command.computed_on) &&
        IsFree(builder, device, taken) &&
        InputsAreThere(state, record->job(), planned.model_choice) &&
        exploring.Fits(record->job().spec(), planned) &&
        !IsPlaceTaken(state, record->job(), device) &&
        LeaveQueueOrDevice(builder, *record, device, results_to_come)) {
      Place(builder, *record, planned, {command.computed_on, token++});
      taken.insert(device);
    } else if (planned.queue && record->job().state() == v1::JOB_STATE_QUEUED &&
               IsFresh(state, *record, device, command.computed_on) &&
               InputsAreThere(state, record->job(), planned.model_choice) &&
               exploring.Fits(record->job().spec(), planned) &&
               !IsPlaceTaken(state, record->job(), device) &&
               LeaveQueueOrDevice(builder, *record, device, results_to_come) &&
               MayQueue(builder, record->job(), planned, queued)) {
      token -= WATTLE_FAULT_POINT("queued token shared") ? 1 : 0;
      Queue(builder, *record, planned, {command.computed_on, token++}, queued);
    }
  }
  for (const scheduler::GainfulMove& move : command.moves) {
    ReleaseForGain(builder, move, command.computed_on);
  }
}

}  // namespace wattle::core
