// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Transitions that several commands share. Pure.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/message_checks_internal.h"
#include "coordinator/core/profiling.h"

namespace wattle::core {
v1::Event& DecisionBuilder::Add() {
  v1::Event& event = decision_.events.emplace_back();
  event.set_sequence(state_.last_sequence.value() + static_cast<int64_t>(decision_.events.size()));
  event.set_at_unix_seconds(ToUnix(now_.wall));
  return event;
}

void DecisionBuilder::Refuse(const absl::Status& status) {
  decision_.events.clear();
  decision_.status = InOneLine(status);
}

void DecisionBuilder::SetJob(const std::string& job_id, v1::JobState state,
                             const std::string& reason) {
  v1::JobStateChanged& changed = *Add().mutable_job_state_changed();
  changed.set_job_id(job_id);
  changed.set_state(state);
  changed.set_reason(reason);
}

void DecisionBuilder::Requeue(const std::string& job_id, const std::string& reason,
                              absl::Duration backoff) {
  v1::JobStateChanged& changed = *Add().mutable_job_state_changed();
  changed.set_job_id(job_id);
  changed.set_state(v1::JOB_STATE_QUEUED);
  changed.set_reason(reason);
  if (backoff > absl::ZeroDuration()) {
    changed.set_not_before_unix_seconds(ToUnix(now_.wall + backoff));
    changed.set_backoff_seconds(absl::ToDoubleSeconds(backoff));
  }
}

void DecisionBuilder::EndJob(const v1::Job& job, v1::JobState state, const std::string& reason,
                             const std::string& output_artifact_id) {
  if (!ended_jobs_.insert(job.job_id()).second) {
    return;  // The deadlines of the job and of its input passed in one decision.
  }
  v1::JobStateChanged& changed = *Add().mutable_job_state_changed();
  changed.set_job_id(job.job_id());
  changed.set_state(state);
  changed.set_reason(reason);
  changed.set_output_artifact_id(output_artifact_id);
  if (state == v1::JOB_STATE_SUCCEEDED && !output_artifact_id.empty()) {
    ResolveDependents(job, output_artifact_id);
  } else if (state == v1::JOB_STATE_SUCCEEDED) {
    FailDependents(job, "made no output");
  } else {
    FailDependents(job, state == v1::JOB_STATE_CANCELLED ? "was cancelled" : "failed");
  }
}

void DecisionBuilder::ResolveDependents(const v1::Job& job, const std::string& output_artifact_id) {
  for (const int64_t number : state_.open_jobs) {
    const v1::Job& dependent = state_.jobs.at(number).job();
    if (dependent.state() != v1::JOB_STATE_WAITING) {
      continue;
    }
    bool complete = true;
    bool touched = false;
    for (const v1::ResolvedInput& input : dependent.inputs()) {
      if (!input.artifact_id().empty()) {
        continue;
      }
      if (ReferencedJob(input.reference()) != job.job_id()) {
        complete = false;
        continue;
      }
      touched = true;
      v1::JobInputResolved& resolved = *Add().mutable_job_input_resolved();
      resolved.set_job_id(dependent.job_id());
      resolved.set_field(input.field());
      resolved.set_artifact_id(output_artifact_id);
    }
    if (touched && complete) {
      SetJob(dependent.job_id(), v1::JOB_STATE_QUEUED,
             absl::StrCat("the output of ", job.job_id(), " is there"));
    }
  }
}

// Fails the whole chain of jobs that depend on the job; without recursion, because a chain may be
// long.
void DecisionBuilder::FailDependents(const v1::Job& job, const std::string& why) {
  struct Waiting {
    const v1::Job* job;
    std::string field;
  };
  std::multimap<std::string, Waiting> by_source;
  for (const int64_t number : state_.open_jobs) {
    const v1::Job& dependent = state_.jobs.at(number).job();
    for (const v1::ResolvedInput& input : dependent.inputs()) {
      if (dependent.state() == v1::JOB_STATE_WAITING && input.artifact_id().empty()) {
        by_source.insert({ReferencedJob(input.reference()), {&dependent, input.field()}});
      }
    }
  }
  std::deque<std::pair<std::string, std::string>> ended = {{job.job_id(), why}};
  while (!ended.empty()) {
    const auto [source, source_why] = std::move(ended.front());
    ended.pop_front();
    const auto [begin, end] = by_source.equal_range(source);
    for (auto waiting = begin; waiting != end; ++waiting) {
      const std::string& job_id = waiting->second.job->job_id();
      if (ended_jobs_.insert(job_id).second) {
        SetJob(job_id, v1::JOB_STATE_FAILED,
               absl::StrCat("its input ", waiting->second.field, " was to come from ", source,
                            ", which ", source_why));
        ended.emplace_back(job_id, "failed");
      }
    }
  }
}

v1::AttemptStateChanged& DecisionBuilder::SetAttempt(const v1::Attempt& attempt,
                                                     v1::AttemptState state,
                                                     const std::string& reason,
                                                     const v1::Receipt* receipt,
                                                     int64_t reached_step) {
  v1::AttemptStateChanged& changed = *Add().mutable_attempt_state_changed();
  changed.set_attempt_id(attempt.attempt_id());
  changed.set_state(state);
  changed.set_reason(reason);
  changed.set_reached_step(reached_step);
  if (receipt != nullptr) {
    *changed.mutable_receipt() = *receipt;
  }
  return changed;
}

void DecisionBuilder::FailAttempt(const v1::Attempt& attempt, const std::string& why) {
  v1::Receipt receipt;
  receipt.set_attempt_id(attempt.attempt_id());
  receipt.set_device_id(attempt.device_id());
  receipt.set_failure_class(v1::FAILURE_CLASS_JOB);
  receipt.set_failure_message(why);
  SetAttempt(attempt, v1::ATTEMPT_STATE_FAILED, why, &receipt);
}

void DecisionBuilder::AfterFailure(const v1::Job& job, const AttemptFailure& failure,
                                   const std::string& message) {
  if (const v1::Attempt* const run = LiveAttempt(job);
      run != nullptr && run->has_profile_point() && IsFailureOfPoint(failure.failure_class)) {
    Requeue(job.job_id(), OutcomeOfFailedRun(*run, message));
    return;
  }
  const std::string what = absl::StrCat(FailureClassName(failure.failure_class), " failure on ",
                                        DeviceName(state_, failure.device_id), ": ", message);
  const Retry retry = RetryAfterFailure(job, failure);
  if (retry.again) {
    Requeue(job.job_id(),
            absl::StrCat("again after ", absl::FormatDuration(retry.backoff), " (", what, ")"),
            retry.backoff);
  } else {
    EndJob(job, v1::JOB_STATE_FAILED,
           retry.why.empty() ? what : absl::StrCat(retry.why, ", last: ", what), "");
  }
}

std::string FailureClassName(v1::FailureClass failure_class) {
  std::string name = v1::FailureClass_Name(failure_class);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "FAILURE_CLASS_"));
}

std::string DeviceName(const State& state, const std::string& device_id) {
  const v1::DeviceRecord* record = FindDevice(state, DeviceId(device_id));
  return record == nullptr || record->info().name().empty() ? device_id : record->info().name();
}

const v1::Attempt* LiveAttempt(const v1::Job& job) {
  for (const v1::Attempt& attempt : job.attempts()) {
    if (!IsTerminal(attempt.state())) {
      return &attempt;
    }
  }
  return nullptr;
}

}  // namespace wattle::core
