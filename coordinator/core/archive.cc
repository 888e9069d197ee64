// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// ArchiveEnded: ended jobs leave the state for the history. Pure.
#include "absl/time/time.h"

#include "coordinator/core/core.h"
#include "coordinator/core/draft_internal.h"

namespace wattle::core {
namespace {

// A repeated submit finds its job in the state or in the history. In between, neither has it for
// the length of a commit, so a job stays for longer than any client repeats a submit.
constexpr absl::Duration kStaysAtLeast = absl::Minutes(10);
// Jobs that one command archives: a long queue of them must not delay other commands.
constexpr size_t kJobsAtOnce = 200;

}  // namespace

bool AnythingToArchive(const State& state, const Retention& retention, absl::Time now) {
  if (state.ended_jobs.empty()) {
    return false;
  }
  const absl::Duration age = now - FromUnix(state.ended_jobs.begin()->first);
  return age > kStaysAtLeast && (age > retention.age_max ||
                                 state.ended_jobs.size() > static_cast<size_t>(retention.jobs_max));
}

void DecideArchive(Draft& draft, const ArchiveEnded& command) {
  const State& state = draft.state();
  const Retention& retention = command.retention;
  size_t left = state.ended_jobs.size();
  size_t archived = 0;
  for (const auto& [ended_unix_seconds, number] : state.ended_jobs) {
    const absl::Duration age = draft.now().wall - FromUnix(ended_unix_seconds);
    const bool wanted = left <= static_cast<size_t>(retention.jobs_max) && age <= retention.age_max;
    if (wanted || age <= kStaysAtLeast || archived == kJobsAtOnce) {
      return;  // The jobs after this one ended later.
    }
    const v1::JobRecord& record = state.jobs.at(number);
    v1::JobArchived& event = *draft.Add().mutable_job_archived();
    *event.mutable_job() = record.job();
    event.set_idempotency_key(record.idempotency_key());
    --left;
    ++archived;
  }
}

}  // namespace wattle::core
