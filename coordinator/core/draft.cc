// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Transitions that several commands share. Pure.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "coordinator/core/draft_internal.h"
#include "coordinator/core/inputs_internal.h"

namespace wattle::core {
namespace {

constexpr absl::Duration kBackoffFirst = absl::Seconds(2);
constexpr absl::Duration kBackoffMax = absl::Minutes(10);
constexpr size_t kFailingDevicesMax =
    3;  // design: failing on three different devices is the job's fault
// Bound on repeats that are free, for a fleet of fewer than three devices.
constexpr int kFreeFailuresMax = 10;

bool IsFree(v1::FailureClass failure_class) {
  return failure_class == v1::FAILURE_CLASS_DEVICE || failure_class == v1::FAILURE_CLASS_LINK ||
         failure_class == v1::FAILURE_CLASS_POWER;
}

}  // namespace

double Draft::now_unix_seconds() const {
  return absl::ToDoubleSeconds(now_ - absl::UnixEpoch());
}

v1::Event& Draft::Add() {
  v1::Event& event = decision_.events.emplace_back();
  event.set_sequence(state_.last_sequence.value() + static_cast<int64_t>(decision_.events.size()));
  event.set_at_unix_seconds(now_unix_seconds());
  return event;
}

void Draft::Refuse(absl::Status status) {
  decision_.events.clear();
  decision_.status = std::move(status);
}

void Draft::SetJob(const std::string& job_id, v1::JobState state, const std::string& reason) {
  v1::JobStateChanged& changed = *Add().mutable_job_state_changed();
  changed.set_job_id(job_id);
  changed.set_state(state);
  changed.set_reason(reason);
}

void Draft::Requeue(const std::string& job_id, const std::string& reason, absl::Time not_before) {
  v1::JobStateChanged& changed = *Add().mutable_job_state_changed();
  changed.set_job_id(job_id);
  changed.set_state(v1::JOB_STATE_QUEUED);
  changed.set_reason(reason);
  if (not_before > now_) {
    changed.set_not_before_unix_seconds(absl::ToDoubleSeconds(not_before - absl::UnixEpoch()));
  }
}

void Draft::EndJob(const v1::Job& job, v1::JobState state, const std::string& reason,
                   const std::string& output_artifact_id) {
  if (!ended_jobs_.insert(job.job_id()).second) {
    return;  // Two of its inputs failed at once.
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

void Draft::ResolveDependents(const v1::Job& job, const std::string& output_artifact_id) {
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

void Draft::FailDependents(const v1::Job& job, const std::string& why) {
  for (const int64_t number : state_.open_jobs) {
    const v1::Job& dependent = state_.jobs.at(number).job();
    if (dependent.state() != v1::JOB_STATE_WAITING) {
      continue;
    }
    for (const v1::ResolvedInput& input : dependent.inputs()) {
      if (input.artifact_id().empty() && ReferencedJob(input.reference()) == job.job_id()) {
        EndJob(dependent, v1::JOB_STATE_FAILED,
               absl::StrCat("its input ", input.field(), " was to come from ", job.job_id(),
                            ", which ", why),
               "");
      }
    }
  }
}

void Draft::SetAttempt(const v1::Attempt& attempt, v1::AttemptState state,
                       const std::string& reason, const v1::Receipt* receipt) {
  v1::AttemptStateChanged& changed = *Add().mutable_attempt_state_changed();
  changed.set_attempt_id(attempt.attempt_id());
  changed.set_state(state);
  changed.set_reason(reason);
  if (receipt != nullptr) {
    *changed.mutable_receipt() = *receipt;
  }
}

void Draft::AfterFailure(const v1::Job& job, v1::FailureClass failure_class,
                         const std::string& message, const std::string& device_id) {
  const std::string what = absl::StrCat(FailureClassName(failure_class), " failure on ",
                                        DeviceName(state_, device_id), ": ", message);
  std::set<std::string> failing_devices;
  int job_failures = 0;
  int free_failures = 0;
  const auto count = [&](v1::FailureClass one, const std::string& device) {
    job_failures += one == v1::FAILURE_CLASS_JOB ? 1 : 0;
    if (IsFree(one)) {
      ++free_failures;
      failing_devices.insert(device);
    }
  };
  for (const v1::Attempt& attempt : job.attempts()) {
    if (attempt.state() == v1::ATTEMPT_STATE_FAILED) {
      count(attempt.receipt().failure_class(), attempt.device_id());
    }
  }
  count(failure_class, device_id);

  if (IsFree(failure_class)) {
    if (failing_devices.size() >= kFailingDevicesMax) {
      EndJob(job, v1::JOB_STATE_FAILED,
             absl::StrCat("failed on ", failing_devices.size(), " different devices, last: ", what),
             "");
      return;
    }
    if (free_failures >= kFreeFailuresMax) {
      EndJob(job, v1::JOB_STATE_FAILED,
             absl::StrCat("failed ", free_failures, " times, last: ", what), "");
      return;
    }
  } else if (failure_class != v1::FAILURE_CLASS_JOB || job_failures > job.spec().retries()) {
    EndJob(job, v1::JOB_STATE_FAILED, what, "");
    return;
  }
  const int failures = std::min(job_failures + free_failures, 16);
  const absl::Duration backoff =
      std::min(kBackoffMax, kBackoffFirst * static_cast<double>(int64_t{1} << (failures - 1)));
  Requeue(job.job_id(),
          absl::StrCat("again after ", absl::FormatDuration(backoff), " (", what, ")"),
          now_ + backoff);
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
