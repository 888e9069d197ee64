// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// ArchiveEnded: ended jobs leave the state for the history. Pure.
#include "absl/time/time.h"

#include "base/fault_point.h"
#include "coordinator/core/core.h"
#include "coordinator/core/draft_internal.h"
#include "coordinator/core/elapsed.h"

namespace wattle::core {
namespace {

// A repeated submit finds its job in the state or in the history. In between, neither has it for
// the length of a commit, so a job stays for longer than any client repeats a submit. A step of the
// wall clock must not shorten that.
constexpr absl::Duration kStaysAtLeast = absl::Minutes(10);
// Jobs that one command archives: a long queue of them must not delay other commands.
constexpr size_t kJobsAtOnce = 200;

// The oldest of `ended_jobs` leaves.
bool Leaves(const EndedTime& age, size_t ended_jobs, const Retention& retention) {
  return age.certain > kStaysAtLeast &&
         (age.expected > retention.age_max || ended_jobs > static_cast<size_t>(retention.jobs_max));
}

}  // namespace

bool AnythingToArchive(const State& state, const Instant& started, const Retention& retention,
                       const Instant& now) {
  if (state.ended_jobs.empty() || WATTLE_FAULT_POINT("archiving")) {
    return false;
  }
  const auto& [ended_unix_seconds, number] = *state.ended_jobs.begin();
  const EndedTime age =
      EndedFor(state, started, number, FromUnix(ended_unix_seconds), now.monotonic);
  return Leaves(age, state.ended_jobs.size(), retention);
}

void DecideArchive(Draft& draft, const ArchiveEnded& command) {
  const State& state = draft.state();
  const Retention& retention = command.retention;
  size_t left = state.ended_jobs.size();
  size_t archived = 0;
  for (const auto& [ended_unix_seconds, number] : state.ended_jobs) {
    const EndedTime age = EndedFor(state, draft.observations().started, number,
                                   FromUnix(ended_unix_seconds), draft.now().monotonic);
    if (!Leaves(age, left, retention) || archived == kJobsAtOnce) {
      return;  // The jobs after this one ended later.
    }
    const v1::JobRecord& record = state.jobs.at(number);
    v1::JobArchived& event = *draft.Add().mutable_job_archived();
    *event.mutable_job() = record.job();
    if (WATTLE_FAULT_POINT("archived results")) {
      event.mutable_job()->clear_attempts();
    }
    event.set_idempotency_key(record.idempotency_key());
    --left;
    ++archived;
  }
}

}  // namespace wattle::core
