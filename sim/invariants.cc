// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The checks. They look at state and events alone, not at how the core came to them.
#include "sim/invariants.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace wattle::sim {

void Invariants::Break(const std::string& what) {
  if (breach_.empty()) {
    breach_ = what;
  }
}

void Invariants::OnDurableEvent(const v1::Event& event) {
  if (event.has_report_accepted()) {
    const v1::ReportAccepted& report = event.report_accepted();
    int64_t& mark = marks_[{report.device_id(), report.incarnation()}];
    if (report.sequence() != mark + 1) {
      Break(absl::StrCat("report ", report.sequence(), " of ", report.device_id(),
                         " was taken after ", mark, ": lost or applied twice"));
    }
    mark = report.sequence();
  }
  if (event.has_attempt_placed() &&
      !tokens_.insert(event.attempt_placed().fencing_token()).second) {
    Break(absl::StrCat("token ", event.attempt_placed().fencing_token(), " was given twice"));
  }
  if (event.has_job_state_changed()) {
    const v1::JobStateChanged& changed = event.job_state_changed();
    const auto ended = ended_jobs_.find(changed.job_id());
    if (ended != ended_jobs_.end()) {
      Break(absl::StrCat(changed.job_id(), " had ended (", ended->second, ") and became ",
                         v1::JobState_Name(changed.state())));
    }
    if (core::IsTerminal(changed.state())) {
      ended_jobs_[changed.job_id()] = v1::JobState_Name(changed.state());
    }
  }
}

void Invariants::CheckJob(const v1::Job& job) {
  int live = 0;
  int finished = 0;
  std::string output;
  for (const v1::Attempt& attempt : job.attempts()) {
    live += core::IsTerminal(attempt.state()) ? 0 : 1;
    if (attempt.state() == v1::ATTEMPT_STATE_FINISHED) {
      ++finished;
      output = attempt.receipt().output_artifact_id();
    }
  }
  const bool succeeded = job.state() == v1::JOB_STATE_SUCCEEDED;
  if (live != (job.state() == v1::JOB_STATE_ACTIVE ? 1 : 0)) {
    Break(absl::StrCat(job.job_id(), " is ", v1::JobState_Name(job.state()), " with ", live,
                       " live attempts"));
  }
  if (finished != (succeeded ? 1 : 0)) {
    Break(absl::StrCat(job.job_id(), " is ", v1::JobState_Name(job.state()), " with ", finished,
                       " committed results"));
  }
  if (succeeded && output != job.output_artifact_id()) {
    Break(absl::StrCat(job.job_id(), ": its output is not the finished attempt's"));
  }
}

void Invariants::OnState(const core::State& state) {
  std::map<DeviceId, AttemptId> wanted;
  for (const auto& [number, record] : state.jobs) {
    CheckJob(record.job());
    for (const v1::Attempt& attempt : record.job().attempts()) {
      if (!core::IsTerminal(attempt.state()) &&
          !wanted.emplace(DeviceId(attempt.device_id()), AttemptId(attempt.attempt_id())).second) {
        Break(absl::StrCat(attempt.device_id(), " is wanted to run two attempts"));
      }
    }
  }
  if (wanted != state.wanted_attempt) {
    Break("the index of wanted attempts differs from the jobs");
  }
}

void Invariants::OnReplay(const core::State& live, const core::State& replayed) {
  if (core::SnapshotBytes(live) != core::SnapshotBytes(replayed)) {
    Break(absl::StrCat("after event ", live.last_sequence.value(),
                       " the replayed state differs from the live one"));
  }
}

void Invariants::OnAcknowledged(const std::string& device, int64_t incarnation, int64_t sequence) {
  if (sequence > marks_[{device, incarnation}]) {
    Break(absl::StrCat("report ", sequence, " of ", device,
                       " was acknowledged before it was durable"));
  }
}

}  // namespace wattle::sim
