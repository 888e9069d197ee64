// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/time_limits.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/enrolment.h"
#include "policy/fields.h"

namespace wattle::sim {
namespace {

// A job stays in the state for at least this long after its end (kStaysAtLeast in core/archive.cc).
constexpr double kStaysAtLeastSeconds = 600.0;
// A submit becomes durable at most this long after its decision, except during standstills.
constexpr double kCommitSeconds = 0.5;

const v1::Job* JobOf(const core::State& state, const std::string& job_id) {
  const v1::JobRecord* record = core::FindJob(state, JobId(job_id));
  return record == nullptr ? nullptr : &record->job();
}

const v1::Attempt* LiveAttemptOf(const v1::Job& job) {
  for (const v1::Attempt& attempt : job.attempts()) {
    if (!IsTerminal(attempt.state())) {
      return &attempt;
    }
  }
  return nullptr;
}

// Whether the latest plan has a reason to leave a free device idle: a better device takes the job
// later, or the free one would need a probe and has used up its exploration budget.
bool LeavesFreeDevices(const core::Observations& observations, const std::string& job_id) {
  if (observations.waiting == nullptr) {
    return false;
  }
  const auto found = observations.waiting->find(JobId(job_id));
  return found != observations.waiting->end() &&
         (found->second.place.wait() || absl::StrContains(found->second.why, "explor"));
}

// A queue delays no work, and the plan reports an exhausted exploration budget (LeavesFreeDevices).
bool IsChargeOrHeat(const policy::Field& field) {
  constexpr absl::string_view kNames[] = {"device_queue_depth", "exploration_ratio",
                                          "reserve_state_of_charge_ratio",
                                          "max_temperature_celsius", "pause_seconds_max"};
  return std::find(std::begin(kNames), std::end(kNames), field.name) != std::end(kNames);
}

// Whether policies limit a device on mains power only by its temperature.
bool OnlyChargeAndHeat(const core::State& state) {
  return std::all_of(state.policies.begin(), state.policies.end(), [](const auto& entry) {
    const auto fields = policy::Fields();
    return std::all_of(fields.begin(), fields.end(), [&](const policy::Field& field) {
      return !field.limits || IsChargeOrHeat(field) || field.text(entry.second).empty();
    });
  });
}

double PauseLimitSeconds(const core::State& state) {
  double limit_seconds = std::numeric_limits<double>::infinity();
  for (const auto& [name, policy] : state.policies) {
    if (policy.pause_seconds_max() > 0.0) {
      limit_seconds = std::min(limit_seconds, policy.pause_seconds_max());
    }
  }
  return limit_seconds;
}

}  // namespace

void TimeLimits::OnStart(double now_seconds) {
  started_seconds_ = now_seconds;
  OnStandstill(now_seconds, now_seconds);
}

void TimeLimits::OnStandstill(double began_seconds, double now_seconds) {
  standstill_seconds_ = began_seconds;
  listens_seconds_ = now_seconds;
  free_.clear();
}

double TimeLimits::DecidedAtEarliest(double now_seconds) const {
  // A decision from before a standstill may become durable after the standstill.
  const bool listened = now_seconds - kCommitSeconds > listens_seconds_;
  return (listened ? now_seconds : standstill_seconds_) - kCommitSeconds;
}

void TimeLimits::OnEvent(const v1::Event& event, double now_seconds) {
  switch (event.event_case()) {
    case v1::Event::kJobSubmitted: {
      const v1::JobSubmitted& submitted = event.job_submitted();
      submitted_[submitted.job_id()] = {.at_seconds = now_seconds,
                                        .decided_seconds = DecidedAtEarliest(now_seconds),
                                        .deadline_seconds = submitted.spec().deadline_seconds()};
      if (submitted.spec().deadline_seconds() > 0.0) {
        deadlines_.emplace(now_seconds + submitted.spec().deadline_seconds(), submitted.job_id());
      }
      return;
    }
    case v1::Event::kJobStateChanged:
      return OnJob(event.job_state_changed(), now_seconds);
    case v1::Event::kAttemptStateChanged: {
      const v1::AttemptStateChanged& changed = event.attempt_state_changed();
      if (IsTerminal(changed.state())) {
        attempt_ended_[changed.attempt_id()] = now_seconds;
      }
      if (changed.state() == v1::ATTEMPT_STATE_PAUSED) {
        paused_[changed.attempt_id()] = now_seconds;
      } else {
        paused_.erase(changed.attempt_id());
      }
      return;
    }
    case v1::Event::kPolicyApplied:
    case v1::Event::kPolicyDeleted:
      policies_seconds_ = now_seconds;
      return;
    default:
      return;
  }
}

void TimeLimits::OnJob(const v1::JobStateChanged& changed, double now_seconds) {
  if (!IsTerminal(changed.state())) {
    return;
  }
  ended_.emplace_back(now_seconds, changed.job_id());
  last_ended_[changed.job_id()] = now_seconds;
  const Submitted& submitted = submitted_[changed.job_id()];
  const double due_seconds = submitted.decided_seconds + submitted.deadline_seconds;
  if (absl::StartsWith(changed.reason(), "its deadline of") &&
      submitted.at_seconds > started_seconds_ && now_seconds < due_seconds) {
    invariants_.Break(absl::StrCat(changed.job_id(), " failed ", due_seconds - now_seconds,
                                   " s before its deadline"));
  }
}

void TimeLimits::CheckDeadlines(const core::State& state, double now_seconds) {
  std::vector<std::pair<double, std::string>> again;
  while (!deadlines_.empty() && deadlines_.begin()->first + TickGrace() < now_seconds) {
    const auto [looked_seconds, job_id] = *deadlines_.begin();
    deadlines_.erase(deadlines_.begin());
    const v1::Job* job = JobOf(state, job_id);
    if (job == nullptr || IsTerminal(job->state())) {
      continue;
    }
    // The process counts the age of an older job from its own start.
    double due_seconds =
        std::max(submitted_[job_id].at_seconds, started_seconds_) + job->spec().deadline_seconds();
    if (const v1::Attempt* live = LiveAttemptOf(*job)) {
      const auto paused = paused_.find(live->attempt_id());
      if (paused == paused_.end() || live->state() != v1::ATTEMPT_STATE_PAUSED) {
        again.emplace_back(now_seconds, job_id);  // A running attempt may end after the deadline.
        continue;
      }
      due_seconds = std::max(due_seconds, paused->second);
    }
    // A job whose attempt was stopped after the deadline waits from then on.
    for (const v1::Attempt& attempt : job->attempts()) {
      if (const auto ended = attempt_ended_.find(attempt.attempt_id());
          ended != attempt_ended_.end()) {
        due_seconds = std::max(due_seconds, ended->second);
      }
    }
    due_seconds = std::max(due_seconds, listens_seconds_);
    if (due_seconds + TickGrace() < now_seconds) {
      invariants_.Break(absl::StrCat(job_id, " is ", v1::JobState_Name(job->state()), ", ",
                                     now_seconds - due_seconds,
                                     " s after its deadline: ", job->reason()));
    }
    again.emplace_back(std::max(due_seconds, now_seconds), job_id);
  }
  deadlines_.insert(again.begin(), again.end());
}

void TimeLimits::CheckRetention(const core::State& state, double now_seconds) {
  if (options_.retention_seconds <= 0.0 || clock_stepped_) {
    return;
  }
  const double stays_seconds = std::max(options_.retention_seconds, kStaysAtLeastSeconds);
  while (!ended_.empty()) {
    const auto& [ended_seconds, job_id] = ended_.front();
    const double due_seconds = std::max(ended_seconds, started_seconds_) + stays_seconds;
    if (std::max(due_seconds, listens_seconds_) + TickGrace() >= now_seconds) {
      return;
    }
    const v1::Job* job = JobOf(state, job_id);
    // After a restore a job may have ended a second time.
    if (job != nullptr && IsTerminal(job->state()) && last_ended_[job_id] == ended_seconds) {
      invariants_.Break(absl::StrCat(job_id, " ended ", now_seconds - ended_seconds,
                                     " s ago and is not in the history yet"));
    }
    ended_.pop_front();
  }
}

void TimeLimits::FindFreeDevices(const core::State& state, const core::Observations& observations,
                                 double now_seconds) {
  for (const auto& [id, record] : state.devices) {
    const auto seen = observations.devices.find(id);
    const bool is_free =
        !record.drained() && !record.removed() && core::MayWork(state, id) &&
        record.info().battery_capacity_wh() == 0.0 && seen != observations.devices.end() &&
        seen->second.connected && seen->second.caught_up && seen->second.last_seen.has_value() &&
        seen->second.heartbeat.guard_reason().empty() &&
        seen->second.heartbeat.owner_hold_seconds() == 0.0 &&
        seen->second.heartbeat.storage_problem().empty() && !seen->second.heartbeat.has_upgrade() &&
        !state.wanted_attempts.contains(id);
    if (is_free) {
      free_.emplace(id.value(), now_seconds);
    } else {
      free_.erase(id.value());
    }
  }
}

bool TimeLimits::HasElsewhere(const core::State& state, const v1::Job& job,
                              const std::string& device_id, double now_seconds) const {
  for (const v1::Attempt& attempt : job.attempts()) {
    if (attempt.state() == v1::ATTEMPT_STATE_FAILED) {
      return false;  // The planner avoids the device of a failed attempt for a while.
    }
  }
  bool found = false;
  for (const auto& [id, record] : state.devices) {
    if (id.value() == device_id) {
      continue;
    }
    const auto since = free_.find(id.value());
    if (since == free_.end() && !state.wanted_attempts.contains(id)) {
      continue;
    }
    if (since == free_.end() || now_seconds - since->second <= PlanGrace()) {
      return false;  // A better device was worth the wait, and is or was busy a moment ago.
    }
    found = true;
  }
  return found;
}

void TimeLimits::CheckPauses(const core::State& state, const core::Observations& observations,
                             double now_seconds) {
  const double limit_seconds = PauseLimitSeconds(state);
  if (paused_.empty() || limit_seconds == std::numeric_limits<double>::infinity() ||
      !OnlyChargeAndHeat(state)) {
    free_.clear();
    return;
  }
  FindFreeDevices(state, observations, now_seconds);
  for (const auto& [attempt_id, paused_seconds] : paused_) {
    const double due_seconds =
        std::max({paused_seconds, started_seconds_, policies_seconds_}) + limit_seconds;
    const v1::Attempt* attempt = core::FindAttempt(state, AttemptId(attempt_id));
    if (std::max(due_seconds, listens_seconds_) + PlanGrace() >= now_seconds ||
        attempt == nullptr || attempt->state() != v1::ATTEMPT_STATE_PAUSED || attempt->released()) {
      continue;
    }
    const DeviceId device(attempt->device_id());
    const auto seen = observations.devices.find(device);
    const v1::Job* job = JobOf(state, attempt->job_id());
    if (seen != observations.devices.end() && seen->second.connected && job != nullptr &&
        job->spec().deadline_seconds() == 0.0 && !LeavesFreeDevices(observations, job->job_id()) &&
        HasElsewhere(state, *job, attempt->device_id(), now_seconds)) {
      invariants_.Break(absl::StrCat(attempt_id, " is paused for ", now_seconds - paused_seconds,
                                     " s, a policy allows ", limit_seconds,
                                     " s, and another device is free"));
    }
  }
}

void TimeLimits::Check(const core::State& state, const core::Observations& observations,
                       double now_seconds) {
  CheckDeadlines(state, now_seconds);
  CheckRetention(state, now_seconds);
  CheckPauses(state, observations, now_seconds);
}

}  // namespace wattle::sim
