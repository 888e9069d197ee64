// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/elapsed.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/fault_point.h"
#include "coordinator/core/lease.h"

namespace wattle::core {
namespace {

// The time since `mark`, or since the process started if this process has not seen the mark.
absl::Duration Since(const std::optional<Monotonic>& mark, const Observations& observations,
                     Monotonic now) {
  return now - mark.value_or(observations.started.monotonic);
}

template <typename Times>
absl::Duration SinceMark(const PersistentMap<AttemptId, Times>& times, const AttemptId& attempt,
                         std::optional<Monotonic> Times::*mark, const Observations& observations,
                         Monotonic now) {
  const auto found = times.find(attempt);
  return Since(found == times.end() ? std::nullopt : found->second.*mark, observations, now);
}

const JobTimes& TimesOf(const State& state, const v1::JobRecord& record) {
  static const JobTimes* const kNone = new JobTimes();
  const auto found = state.job_times.find(JobNumber(record.job().job_id()).value_or(0));
  return found == state.job_times.end() ? *kNone : found->second;
}

}  // namespace

EndedTime EndedFor(const State& state, const Instant& started, int64_t number, absl::Time ended,
                   Monotonic now) {
  const auto times = state.job_times.find(number);
  if (times != state.job_times.end() && times->second.ended.has_value()) {
    return {now - *times->second.ended, now - *times->second.ended};
  }
  const absl::Duration running = now - started.monotonic;
  return {std::max(absl::ZeroDuration(), started.wall - ended) + running, running};
}

absl::Duration SinceLeftForGain(const State& state, const Observations& observations,
                                const DeviceId& device, Monotonic now) {
  const std::optional<Monotonic>* const left = state.left_for_gain.Find(device);
  return left == nullptr ? absl::InfiniteDuration() : Since(*left, observations, now);
}

absl::Duration JobAge(const State& state, const Observations& observations,
                      const v1::JobRecord& record, Monotonic now) {
  const std::optional<Monotonic>& submitted = TimesOf(state, record).submitted;
  absl::Duration before = absl::ZeroDuration();
  if (!submitted.has_value()) {
    before = std::max(before,
                      observations.started.wall - FromUnix(record.job().submitted_unix_seconds()));
  }
  return before + Since(submitted, observations, now);
}

bool InBackoff(const State& state, const Observations& observations, const v1::JobRecord& record,
               Monotonic now) {
  return record.backoff_seconds() > 0.0 && Since(TimesOf(state, record).queued, observations, now) <
                                               absl::Seconds(record.backoff_seconds());
}

absl::Duration ImpossibleFor(const State& state, const Observations& observations,
                             const v1::JobRecord& record, Monotonic now) {
  return record.impossible() ? Since(TimesOf(state, record).impossible, observations, now)
                             : absl::ZeroDuration();
}

absl::Duration SincePlaced(const State& state, const Observations& observations,
                           const AttemptId& attempt, Monotonic now) {
  return SinceMark(state.attempt_times, attempt, &AttemptTimes::placed, observations, now);
}

absl::Duration SinceStateChange(const State& state, const Observations& observations,
                                const AttemptId& attempt, Monotonic now) {
  return SinceMark(state.attempt_times, attempt, &AttemptTimes::state, observations, now);
}

absl::Duration WorkedFor(const State& state, const AttemptId& attempt) {
  const auto times = state.attempt_times.find(attempt);
  return times == state.attempt_times.end() ? absl::ZeroDuration() : times->second.worked;
}

absl::Duration SinceReleased(const State& state, const Observations& observations,
                             const AttemptId& attempt, Monotonic now) {
  return std::min(
      now - observations.listening_since,
      SinceMark(state.attempt_times, attempt, &AttemptTimes::released, observations, now));
}

absl::Duration SinceHandOverAdvanced(const State& state, const Observations& observations,
                                     const v1::Attempt& attempt, Monotonic now) {
  const AttemptId id(attempt.attempt_id());
  absl::Duration since = SinceReleased(state, observations, id, now);
  const auto device = observations.devices.find(DeviceId(attempt.device_id()));
  if (device != observations.devices.end() && device->second.hand_over.attempt == id) {
    since = std::min(
        since, now - std::max(device->second.hand_over.advanced, device->second.connected_since));
  }
  return since;
}

bool LeaseIsOver(const State& state, const Observations& observations, const v1::Attempt& attempt,
                 Monotonic now) {
  const DeviceId device(attempt.device_id());
  const absl::Duration silent =
      std::min(now - LastContact(observations, device),
               SincePlaced(state, observations, AttemptId(attempt.attempt_id()), now));
  const auto observed = observations.devices.find(device);
  absl::Duration lease = absl::Seconds(LeaseSecondsOf(attempt));
  if (observed != observations.devices.end()) {
    lease += absl::Seconds(observed->second.heartbeat.owner_hold_seconds());
    // The worker's lease does not run between two heartbeats of a stream.
    lease += observed->second.heartbeat_interval;
  }
  return silent > lease && !WATTLE_FAULT_POINT("lease of the dead");
}

}  // namespace wattle::core
