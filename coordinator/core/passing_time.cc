// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Ends jobs and attempts because time passed. Pure.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/fault_point.h"
#include "coordinator/core/draft_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/retry_policy.h"
#include "coordinator/core/state.h"
#include "units/format.h"

namespace wattle::core {
namespace {

// Longest time without progress in the upload of a released attempt's checkpoint, which may cross a
// slow link. A silent device that has begun may have a link once a day.
constexpr absl::Duration kReleasePatience = absl::Hours(1);
constexpr absl::Duration kSilentReleasePatience = absl::Hours(26);
// An attempt leaves a reachable device that for this long did not accept it or had a failing disk:
// such a device can neither save nor report a stop.
constexpr absl::Duration kWithdrawAfter = absl::Minutes(2);

// A job that has not started by its deadline fails, because no device may start it afterwards.
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
  // A running attempt may end after the deadline. A stalled attempt ends now: no other device may
  // take the job any more, so the attempt would hold the job forever.
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

// Ends a released attempt whose hand-over is stalled.
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

// Drafts at most one change for each job; the next tick works on the changed state.
void Decide(Draft& draft, const Tick&) {
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
