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
#include "coordinator/core/decision_builder_internal.h"
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
void EndOverdue(DecisionBuilder& builder, const v1::JobRecord& record) {
  const v1::Job& job = record.job();
  const absl::Duration deadline = absl::Seconds(job.spec().deadline_seconds());
  if (deadline <= absl::ZeroDuration() || WATTLE_FAULT_POINT("deadline") ||
      JobAge(builder.state(), builder.observations(), record, builder.now().monotonic) <=
          deadline) {
    return;
  }
  const std::string passed = absl::StrCat("its deadline of ", FormatElapsed(deadline), " passed ");
  if (job.state() != v1::JOB_STATE_ACTIVE) {
    const auto& waiting = builder.observations().waiting;
    const auto found =
        waiting == nullptr ? decltype(waiting->end()){} : waiting->find(JobId(job.job_id()));
    const bool known = waiting != nullptr && found != waiting->end();
    builder.EndJob(job, v1::JOB_STATE_FAILED,
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
  const std::string device = DeviceName(builder.state(), live->device_id());
  std::string reason;
  if (MayWithdraw(builder.state(), builder.observations(), *live, builder.now().monotonic) &&
      IsCaughtUp(builder.observations(), DeviceId(live->device_id()))) {
    reason = absl::StrCat(passed, "while it waited on ", device, " behind ",
                          AheadOf(builder.state(), *live));
  } else if (live->state() == v1::ATTEMPT_STATE_PAUSED) {
    reason = absl::StrCat(passed, "while it was paused on ", device, ": ", live->reason());
  } else if (LeaseIsOver(builder.state(), builder.observations(), *live, builder.now().monotonic)) {
    reason =
        absl::StrCat(passed, "and nothing was heard of ", device, " for longer than its lease");
  }
  if (!reason.empty()) {
    builder.SetAttempt(*live, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    builder.EndJob(job, v1::JOB_STATE_FAILED, reason, "");
  }
}

void EndImpossible(DecisionBuilder& builder, const v1::JobRecord& record) {
  const Observations& observations = builder.observations();
  const absl::Duration since =
      ImpossibleFor(builder.state(), observations, record, builder.now().monotonic);
  if (record.impossible() && !observations.hold_impossible &&
      since >= observations.impossible_grace) {
    builder.EndJob(record.job(), v1::JOB_STATE_FAILED, record.job().reason(), "");
  }
}

absl::Duration ReleasePatience(const DecisionBuilder& builder, const v1::Attempt& attempt) {
  const auto& devices = builder.observations().devices;
  const auto device = devices.find(DeviceId(attempt.device_id()));
  const bool begun =
      device != devices.end() && device->second.hand_over.attempt.value() == attempt.attempt_id();
  const bool silent =
      !IsReachable(builder.observations(), DeviceId(attempt.device_id()), builder.now().monotonic);
  return begun && silent ? kSilentReleasePatience : kReleasePatience;
}

// Ends a released attempt whose hand-over is stalled.
void EndUnansweredRelease(DecisionBuilder& builder, const v1::Attempt& attempt) {
  if (attempt.released() &&
      SinceHandOverAdvanced(builder.state(), builder.observations(), attempt,
                            builder.now().monotonic) > ReleasePatience(builder, attempt)) {
    builder.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, attempt.reason(), nullptr);
    builder.Requeue(attempt.job_id(), attempt.reason());
  }
}

// Why the attempt leaves its device without the device's report; "": it stays.
std::string WhyWithdrawn(const DecisionBuilder& builder, const v1::Attempt& attempt) {
  const Observations& observations = builder.observations();
  const AttemptId id(attempt.attempt_id());
  const DeviceId device_id(attempt.device_id());
  const Monotonic now = builder.now().monotonic;
  const auto device = observations.devices.find(device_id);
  const auto progress = observations.progress.find(id);
  const bool uploads =
      progress != observations.progress.end() && progress->second.phase() == "upload";
  if (device == observations.devices.end() || uploads ||
      !IsReachable(observations, device_id, now)) {
    return "";
  }
  const std::string name = DeviceName(builder.state(), attempt.device_id());
  const std::optional<Monotonic> sick_since = device->second.storage_sick_since;
  const Monotonic heard_since =
      std::max(observations.listening_since, device->second.connected_since);
  if (sick_since && now - std::max(*sick_since, heard_since) > kWithdrawAfter) {
    return absl::StrCat("withdrawn from ", name, ": ", device->second.heartbeat.storage_problem());
  }
  const absl::Duration waits =
      std::min(now - heard_since, SincePlaced(builder.state(), observations, id, now));
  if (attempt.state() == v1::ATTEMPT_STATE_PLACED && waits > kWithdrawAfter) {
    return absl::StrCat("withdrawn from ", name, ", which did not accept it for ",
                        FormatElapsed(kWithdrawAfter));
  }
  return "";
}

void EndWithdrawn(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& attempt) {
  const std::string reason = WhyWithdrawn(builder, attempt);
  if (!reason.empty()) {
    builder.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    builder.Requeue(attempt.job_id(), reason,
                    BackoffAfterStop(job, {v1::FAILURE_CLASS_UNSPECIFIED, attempt.device_id(),
                                           attempt.reached_step()}));
  }
}

void EndTimedOut(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& attempt) {
  const auto progress = builder.observations().progress.find(AttemptId(attempt.attempt_id()));
  const double timeout_seconds = job.spec().timeout_seconds();
  if (timeout_seconds <= 0.0 || progress == builder.observations().progress.end() ||
      progress->second.elapsed_seconds() <= timeout_seconds) {
    return;
  }
  const std::string why = absl::StrCat("ran longer than timeout_seconds: ", timeout_seconds);
  builder.FailAttempt(attempt, why);
  builder.AfterFailure(job, {v1::FAILURE_CLASS_JOB, attempt.device_id(), attempt.reached_step()},
                       why);
}

}  // namespace

// Drafts at most one change for each job; the next tick works on the changed state.
void Decide(DecisionBuilder& builder, const Tick&) {
  const State& state = builder.state();
  for (const int64_t number : state.open_jobs) {
    const v1::JobRecord& record = state.jobs.at(number);
    const size_t events = builder.decision().events.size();
    EndOverdue(builder, record);
    if (builder.decision().events.size() == events && record.impossible()) {
      EndImpossible(builder, record);
    }
    const v1::Attempt* live = LiveAttempt(record.job());
    if (builder.decision().events.size() == events && live != nullptr) {
      EndUnansweredRelease(builder, *live);
    }
    if (builder.decision().events.size() == events && live != nullptr) {
      EndWithdrawn(builder, record.job(), *live);
    }
    if (builder.decision().events.size() == events && live != nullptr) {
      EndTimedOut(builder, record.job(), *live);
    }
    if (builder.decision().events.size() == events && live != nullptr) {
      EndOverBudget(builder, record.job(), *live);
    }
    if (builder.decision().events.size() == events && live != nullptr) {
      DecideProbe(builder, record.job(), *live);
    }
  }
  DecideUpgradeTick(builder);
}

}  // namespace wattle::core
