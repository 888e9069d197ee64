// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/core/index_internal.h"

namespace wattle::core {
namespace {

// Adds the job to the counts; with sign -1 subtracts it.
void AddToCounts(State& state, int64_t job_number, const CountedJob& job, int64_t sign) {
  if (job.state == v1::JOB_STATE_UNSPECIFIED) {
    return;  // Not counted yet.
  }
  state.job_counts[job.state] += sign;
  for (const auto& [attempt_state, attempts] : job.attempts) {
    state.attempt_counts[attempt_state] += sign * attempts;
  }
  const bool ended = IsTerminal(job.state);
  const std::pair<double, int64_t> end(job.finished_unix_seconds, job_number);
  if (sign > 0 && ended) {
    state.ended_jobs.insert(end);
  } else if (sign > 0) {
    state.open_jobs.insert(job_number);
  } else if (ended) {
    state.ended_jobs.erase(end);
  } else {
    state.open_jobs.erase(job_number);
  }
}

}  // namespace

void IndexJob(State& state, int64_t job_number) {
  const v1::Job& job = state.jobs.at(job_number).job();
  CountedJob now;
  now.state = job.state();
  now.finished_unix_seconds = job.finished_unix_seconds();
  for (const v1::Attempt& attempt : job.attempts()) {
    ++now.attempts[attempt.state()];
  }
  CountedJob& counted = state.counted_jobs.Mutable(job_number);
  AddToCounts(state, job_number, counted, -1);
  AddToCounts(state, job_number, now, 1);
  counted = std::move(now);
  const auto times = state.job_times.find(job_number);
  if (IsTerminal(job.state()) && times != state.job_times.end() &&
      !times->second.ended.has_value()) {
    state.job_times.erase(job_number);  // The end was replayed, without a time.
  }
  for (const v1::Attempt& attempt : job.attempts()) {
    const DeviceId device(attempt.device_id());
    const std::set<int64_t>* const jobs = state.jobs_of_device.Find(device);
    const bool keeps = jobs != nullptr && jobs->contains(job_number);
    if (IsTerminal(job.state())) {
      state.attempt_times.erase(AttemptId(attempt.attempt_id()));
      if (keeps) {
        state.jobs_of_device.Mutable(device).erase(job_number);
      }
    } else if (!keeps) {
      state.jobs_of_device.Mutable(device).insert(job_number);
    }
    const AttemptId id(attempt.attempt_id());
    const std::map<int64_t, AttemptId>* const wanted = state.wanted_attempts.Find(device);
    const auto at =
        wanted == nullptr ? decltype(wanted->end()){} : wanted->find(attempt.fencing_token());
    const bool there = wanted != nullptr && at != wanted->end() && at->second == id;
    if (job.state() == v1::JOB_STATE_ACTIVE && !IsTerminal(attempt.state())) {
      if (!there) {
        state.wanted_attempts.Mutable(device).insert_or_assign(attempt.fencing_token(), id);
      }
    } else if (there && wanted->size() == 1) {
      state.wanted_attempts.erase(device);
    } else if (there) {
      state.wanted_attempts.Mutable(device).erase(attempt.fencing_token());
    }
  }
}

void NoteOtherUpload(State& state, const std::string& job_id, const ArtifactId& artifact) {
  const int64_t number = JobNumber(job_id).value_or(0);
  if (state.open_jobs.contains(number)) {
    state.other_uploads.Mutable(number).insert(artifact);
  }
}

void ForgetOtherUploads(State& state, const ArtifactId& artifact) {
  std::vector<int64_t> jobs;
  for (const auto& [number, artifacts] : state.other_uploads) {
    if (artifacts.contains(artifact)) {
      jobs.push_back(number);
    }
  }
  for (const int64_t number : jobs) {
    std::set<ArtifactId>& artifacts = state.other_uploads.Mutable(number);
    artifacts.erase(artifact);
    if (artifacts.empty()) {
      state.other_uploads.erase(number);
    }
  }
}

}  // namespace wattle::core
