// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Applies the events of jobs and attempts.
#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

#include "base/check.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/index_internal.h"
#include "policy/guard_reason.h"

namespace wattle::core {
namespace {

// The job's record, writable. Events name only jobs that exist.
v1::JobRecord& Job(State& state, const std::string& job_id) {
  const std::optional<int64_t> number = JobNumber(job_id);
  WATTLE_CHECK(number.has_value() && state.jobs.contains(*number), "events name known jobs");
  return state.jobs.Mutable(*number);
}

v1::Attempt& AttemptOf(v1::JobRecord& record, const std::string& attempt_id) {
  for (v1::Attempt& attempt : *record.mutable_job()->mutable_attempts()) {
    if (attempt.attempt_id() == attempt_id) {
      return attempt;
    }
  }
  WATTLE_CHECK(false, "events name known attempts");
}

std::string JobOfAttempt(const std::string& attempt_id) {
  return attempt_id.substr(0, attempt_id.find('.'));
}

}  // namespace

void Applier::On(const v1::JobSubmitted& event) {
  const int64_t number = *JobNumber(event.job_id());
  v1::JobRecord& record = state_.jobs.Mutable(number);
  record.set_idempotency_key(event.idempotency_key());
  v1::Job& job = *record.mutable_job();
  job.set_job_id(event.job_id());
  *job.mutable_spec() = event.spec();
  job.set_state(v1::JOB_STATE_WAITING);
  job.set_submitted_unix_seconds(at_);
  *job.mutable_inputs() = event.inputs();
  state_.next_job_number = number + 1;
  state_.job_times.Mutable(number).submitted = now_;
  state_.job_by_idempotency_key.Mutable(event.idempotency_key()) = number;
  Changed(number);
}

void Applier::On(const v1::JobStateChanged& event) {
  v1::JobRecord& record = Job(state_, event.job_id());
  v1::Job& job = *record.mutable_job();
  JobTimes& times = state_.job_times.Mutable(*JobNumber(event.job_id()));
  if (event.state() != job.state()) {
    times.changed = sequence_;
  }
  if (event.impossible() && !record.impossible()) {
    times.impossible = now_;
  }
  job.set_state(event.state());
  job.set_reason(event.reason());
  record.set_not_before_unix_seconds(event.not_before_unix_seconds());
  record.set_backoff_seconds(BackoffSeconds(event));
  times.queued = now_;
  record.set_impossible(event.impossible());
  if (event.state() == v1::JOB_STATE_SUCCEEDED) {
    job.set_output_artifact_id(event.output_artifact_id());
  }
  if (IsTerminal(event.state())) {
    state_.other_uploads.erase(*JobNumber(event.job_id()));
    job.set_finished_unix_seconds(at_);
    // The history keeps the explanations, which are most of a job's bytes (store/history.h).
    for (v1::Attempt& attempt : *job.mutable_attempts()) {
      attempt.clear_placement();
    }
  }
  Changed(*JobNumber(event.job_id()));
  if (IsTerminal(event.state()) && now_.has_value()) {
    JobTimes& end = state_.job_times.Mutable(*JobNumber(event.job_id()));
    end = JobTimes();
    end.ended = now_;
    end.changed = sequence_;
  }
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::JobInputResolved& event) {
  for (v1::ResolvedInput& input : *Job(state_, event.job_id()).mutable_job()->mutable_inputs()) {
    if (input.field() == event.field()) {
      input.set_artifact_id(event.artifact_id());
    }
  }
  Changed(*JobNumber(event.job_id()));
}

void Applier::On(const v1::AttemptPlaced& event) {
  v1::JobRecord& record = Job(state_, event.job_id());
  record.clear_released_attempt_ids();
  v1::Attempt& attempt = *record.mutable_job()->add_attempts();
  *attempt.mutable_released_attempt_ids() = event.released_attempt_ids();
  attempt.set_attempt_id(event.attempt_id());
  attempt.set_job_id(event.job_id());
  attempt.set_device_id(event.device_id());
  attempt.set_fencing_token(event.fencing_token());
  attempt.set_state(v1::ATTEMPT_STATE_PLACED);
  attempt.set_reason(event.placement().reason());
  attempt.set_placed_unix_seconds(at_);
  attempt.set_lease_seconds(event.lease_seconds());
  attempt.set_power_mode(event.power_mode());
  attempt.set_on_cpu(event.on_cpu());
  attempt.set_resume_attempt_id(event.resume_attempt_id());
  attempt.set_after_attempt_id(event.after_attempt_id());
  if (event.has_model_choice()) {
    *attempt.mutable_model_choice() = event.model_choice();
  }
  if (event.has_profile_point()) {
    *attempt.mutable_profile_point() = event.profile_point();
  }
  if (event.has_prediction()) {
    *attempt.mutable_prediction() = event.prediction();
  } else if (event.placement().best_size() > 0) {
    // An event of version 0.1 has the decision only as the first candidate of its explanation.
    *attempt.mutable_prediction() = event.placement().best(0).prediction();
    attempt.set_power_mode(event.placement().best(0).power_mode());
  }
  *attempt.mutable_placement() = event.placement();
  state_.attempt_times.Mutable(AttemptId(event.attempt_id())) = {now_, now_, std::nullopt};
  state_.next_fencing_token = FencingToken(event.fencing_token() + 1);
  Changed(*JobNumber(event.job_id()));
  effects_.emplace_back(DesiredSetChanged{DeviceId(event.device_id())});
}

void Applier::On(const v1::AttemptRecovered& event) {
  v1::Attempt& attempt = *Job(state_, event.job_id()).mutable_job()->add_attempts();
  attempt.set_attempt_id(event.attempt_id());
  attempt.set_job_id(event.job_id());
  attempt.set_device_id(event.device_id());
  attempt.set_fencing_token(event.fencing_token());
  attempt.set_state(event.current() ? event.state() : v1::ATTEMPT_STATE_SUPERSEDED);
  attempt.set_reason("the device told of it after the restore");
  attempt.set_placed_unix_seconds(at_);
  attempt.set_lease_seconds(event.lease_seconds());
  attempt.set_power_mode(event.power_mode());
  attempt.set_on_cpu(event.on_cpu());
  if (event.current()) {
    attempt.set_accepted_unix_seconds(at_);
  } else {
    attempt.set_finished_unix_seconds(at_);
  }
  state_.attempt_times.Mutable(AttemptId(event.attempt_id())) = {now_, now_, std::nullopt};
  Changed(*JobNumber(event.job_id()));
}

void Applier::On(const v1::AttemptReleased& event) {
  const std::string job_id = JobOfAttempt(event.attempt_id());
  v1::Attempt& attempt = AttemptOf(Job(state_, job_id), event.attempt_id());
  attempt.set_released(true);
  attempt.set_reason(event.reason());
  attempt.set_released_for_job_id(event.for_job_id());
  attempt.set_released_for_gain(event.for_gain());
  attempt.set_released_unix_seconds(at_);
  if (event.for_gain()) {
    state_.left_for_gain.Mutable(DeviceId(attempt.device_id())) = now_;
  }
  if (const auto number = JobNumber(event.for_job_id());
      number.has_value() && state_.jobs.contains(*number)) {
    Job(state_, event.for_job_id()).add_released_attempt_ids(event.attempt_id());
    Changed(*number);
  }
  state_.attempt_times.Mutable(AttemptId(event.attempt_id())).released = now_;
  effects_.emplace_back(DesiredSetChanged{DeviceId(attempt.device_id())});
  Changed(*JobNumber(job_id));
}

void Applier::On(const v1::JobCheckpointStored& event) {
  *Job(state_, event.job_id()).mutable_checkpoint() = event;
  Changed(*JobNumber(event.job_id()));
}

void Applier::On(const v1::AttemptStateChanged& event) {
  const std::string job_id = JobOfAttempt(event.attempt_id());
  v1::Attempt& attempt = AttemptOf(Job(state_, job_id), event.attempt_id());
  const bool ended_before = IsTerminal(attempt.state());
  if (event.state() == v1::ATTEMPT_STATE_FETCHING && attempt.accepted_unix_seconds() == 0) {
    attempt.set_accepted_unix_seconds(at_);
  }
  if (event.state() != attempt.state()) {
    AttemptTimes& times = state_.attempt_times.Mutable(AttemptId(event.attempt_id()));
    if (attempt.state() == v1::ATTEMPT_STATE_PAUSED && now_.has_value() &&
        times.state.has_value()) {
      NotePause(DeviceId(attempt.device_id()), *now_ - *times.state);
    }
    if (attempt.state() == v1::ATTEMPT_STATE_RUNNING && now_.has_value() &&
        times.state.has_value()) {
      times.worked += *now_ - *times.state;
    }
    times.state = now_;
    NoteRun(attempt, event);
  }
  attempt.set_state(event.state());
  attempt.set_reason(event.reason());
  attempt.set_reached_step(std::max(attempt.reached_step(), event.reached_step()));
  if (event.has_receipt()) {
    *attempt.mutable_receipt() = event.receipt();
    if (!IsTerminal(Job(state_, job_id).job().state())) {
      // An older plan underestimates what the job has drawn of its energy budget.
      state_.job_times.Mutable(*JobNumber(job_id)).changed = sequence_;
    }
  }
  if (event.state() == v1::ATTEMPT_STATE_RUNNING && attempt.started_unix_seconds() == 0.0) {
    attempt.set_started_unix_seconds(at_);
  }
  if (event.state() == v1::ATTEMPT_STATE_RUNNING) {
    attempt.clear_after_attempt_id();
  }
  if (event.has_rest_seconds()) {
    attempt.mutable_prediction()->set_rest_seconds(event.rest_seconds());
  }
  if (IsTerminal(event.state()) && !ended_before) {
    attempt.set_finished_unix_seconds(at_);
    effects_.emplace_back(DesiredSetChanged{DeviceId(attempt.device_id())});
    effects_.emplace_back(QueueChanged{});
  }
  Changed(*JobNumber(job_id));
}

void Applier::NotePause(const DeviceId& device, absl::Duration pause) {
  const absl::Duration* const longest = state_.longest_pause.Find(device);
  if (longest == nullptr || pause > *longest) {
    state_.longest_pause.Mutable(device) = pause;
  }
}

void Applier::NoteRun(const v1::Attempt& attempt, const v1::AttemptStateChanged& event) {
  if (attempt.prediction().rest_seconds() > 0) {
    return;
  }
  const DeviceId device(attempt.device_id());
  if (event.state() == v1::ATTEMPT_STATE_FINISHED) {
    ++state_.runs_of_device.Mutable(device).ended;
  } else if (event.state() == v1::ATTEMPT_STATE_PAUSED && policy::IsAtReserve(event.reason())) {
    ++state_.runs_of_device.Mutable(device).stopped_by_charge;
  }
}

void Applier::On(const v1::AttemptAdopted& event) {
  const std::string job_id = JobOfAttempt(event.attempt_id());
  v1::JobRecord& record = Job(state_, job_id);
  if (!event.superseded_attempt_id().empty()) {
    v1::Attempt& newer = AttemptOf(record, event.superseded_attempt_id());
    newer.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
    newer.set_reason("the complete result of " + event.attempt_id() + " arrived first");
    newer.set_finished_unix_seconds(at_);
    effects_.emplace_back(DesiredSetChanged{DeviceId(newer.device_id())});
  }
  Changed(*JobNumber(job_id));
}

// The history returns the job from now on. The job stays in the counts.
void Applier::On(const v1::JobArchived& event) {
  const int64_t number = *JobNumber(event.job().job_id());
  const CountedJob& counted = state_.counted_jobs.at(number);
  ++state_.archived_jobs[counted.state];
  for (const auto& [attempt_state, attempts] : counted.attempts) {
    state_.archived_attempts[attempt_state] += attempts;
  }
  state_.ended_jobs.erase({counted.finished_unix_seconds, number});
  state_.job_by_idempotency_key.erase(event.idempotency_key());
  state_.jobs.erase(number);
  state_.counted_jobs.erase(number);
  state_.job_times.erase(number);
}

void Applier::Changed(int64_t job_number) {
  IndexJob(state_, job_number);
  effects_.emplace_back(JobChanged{JobId(state_.jobs.at(job_number).job().job_id())});
}

double Applier::BackoffSeconds(const v1::JobStateChanged& event) const {
  // A clock may be before 1970; 0 is then later than the event, but it is not the end of a backoff.
  return event.backoff_seconds() == 0.0 && event.not_before_unix_seconds() > std::max(0.0, at_)
             ? event.not_before_unix_seconds() - at_
             : event.backoff_seconds();
}

}  // namespace wattle::core
