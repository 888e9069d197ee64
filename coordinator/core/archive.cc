// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// ArchiveEnded: moves ended jobs from the state to the history. Pure.
#include "absl/time/time.h"

#include "base/fault_point.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/state.h"

namespace wattle::core {
namespace {

// A job stays in the state for longer than any client repeats a submit, and no step of the wall
// clock shortens this time. Otherwise a repeated submit could arrive during the commit that
// archives its job, when neither the state nor the history has the job.
constexpr absl::Duration kStaysAtLeast = absl::Minutes(10);
// Jobs that one command archives. A larger batch would delay other commands.
constexpr size_t kJobsAtOnce = 200;

// Whether the oldest of `ended_jobs` leaves.
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

void Decide(DecisionBuilder& builder, const ArchiveEnded& command) {
  const State& state = builder.state();
  const Retention& retention = command.retention;
  size_t left = state.ended_jobs.size();
  size_t archived = 0;
  for (const auto& [ended_unix_seconds, number] : state.ended_jobs) {
    const EndedTime age = EndedFor(state, builder.observations().started, number,
                                   FromUnix(ended_unix_seconds), builder.now().monotonic);
    if (!Leaves(age, left, retention) || archived == kJobsAtOnce) {
      return;  // The jobs after this one ended later.
    }
    const v1::JobRecord& record = state.jobs.at(number);
    v1::JobArchived& event = *builder.Add().mutable_job_archived();
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
