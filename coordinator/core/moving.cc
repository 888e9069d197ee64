// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/moving.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/queueing.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "units/format.h"

namespace wattle::core {
namespace {

// An attempt that has outlasted its prediction is expected to need this further share of the
// predicted time.
constexpr double kOverdueShare = 0.1;

// The shortest pause_seconds_max of the policies that select the device.
absl::Duration PauseLimit(const State& state, const DeviceId& device) {
  absl::Duration limit = absl::InfiniteDuration();
  const v1::DeviceRecord* record = FindDevice(state, device);
  for (const auto& [name, policy] : state.policies) {
    if (policy.pause_seconds_max() > 0.0 && record != nullptr &&
        scheduler::Selects(policy, record->info())) {
      limit = std::min(limit, absl::Seconds(policy.pause_seconds_max()));
    }
  }
  return limit;
}

}  // namespace

absl::Duration RemainingTime(const State& state, const Observations& observations,
                             const v1::Attempt& attempt, Monotonic now) {
  const v1::Prediction& prediction = attempt.prediction();
  const AttemptId id(attempt.attempt_id());
  const v1::DeviceRecord* device = FindDevice(state, DeviceId(attempt.device_id()));
  const double scale = device == nullptr ? 1.0 : std::max(device->info().time_scale(), 1e-9);
  const auto progress = observations.progress.find(id);
  if (progress != observations.progress.end() && progress->second.remaining_seconds() > 0.0) {
    // The progress covers only the run. Checkpoints, evaluations and the result come on top, most
    // of them at the end.
    const v1::ProfileRow* const probe = ProbeOf(state, attempt);
    const double slower = probe != nullptr && prediction.seconds_per_unit() > 0.0
                              ? probe->seconds_per_unit().mean() / prediction.seconds_per_unit()
                              : 1.0;
    return absl::Seconds((progress->second.remaining_seconds() + prediction.checkpoint_seconds() +
                          slower * prediction.evaluate_seconds()) *
                         scale);
  }
  const absl::Duration total =
      absl::Seconds(scheduler::TotalSeconds(prediction, prediction.run_seconds().mean()) * scale);
  if (IsQueued(state, attempt)) {
    return total;
  }
  if (attempt.state() == v1::ATTEMPT_STATE_PAUSED) {
    return std::max(total - WorkedFor(state, id), kOverdueShare * total);
  }
  return std::max(total - SincePlaced(state, observations, id, now), kOverdueShare * total);
}

std::optional<Move> MoveOf(const State& state, const Observations& observations,
                           const v1::JobRecord& record, const Instant& now) {
  const v1::Job& job = record.job();
  const v1::Attempt* live = job.state() == v1::JOB_STATE_ACTIVE ? LiveAttempt(job) : nullptr;
  if (live == nullptr) {
    return std::nullopt;
  }
  const std::string device = DeviceName(state, live->device_id());
  if (LeaseIsOver(state, observations, *live, now.monotonic)) {
    return Move{true, absl::StrCat("lease of ",
                                   FormatElapsed(absl::Seconds(std::round(LeaseSecondsOf(*live)))),
                                   " ended, nothing was heard of ", device)};
  }
  if (live->released() || !IsReachable(observations, DeviceId(live->device_id()), now.monotonic)) {
    return std::nullopt;
  }
  const double deadline_seconds = job.spec().deadline_seconds();
  const absl::Duration left =
      absl::Seconds(deadline_seconds) - JobAge(state, observations, record, now.monotonic);
  if (live->state() == v1::ATTEMPT_STATE_RUNNING) {
    const auto rest = ProbedRestOf(state, observations, *live, now.monotonic);
    if (deadline_seconds <= 0.0 || !rest.has_value() || rest->mean <= left) {
      return std::nullopt;
    }
    return Move{.reason = absl::StrCat("leaves ", device, ", where its first steps tell of ",
                                       FormatElapsed(rest->mean), " more, for its deadline in ",
                                       FormatElapsed(std::max(left, absl::ZeroDuration()))),
                .misses_for_certain = rest->low > left};
  }
  if (live->state() != v1::ATTEMPT_STATE_PAUSED) {
    return std::nullopt;
  }
  const absl::Duration paused =
      SinceStateChange(state, observations, AttemptId(live->attempt_id()), now.monotonic);
  if (paused > PauseLimit(state, DeviceId(live->device_id())) &&
      !WATTLE_FAULT_POINT("pause limit")) {
    return Move{false, absl::StrCat("leaves ", device, " after a pause of ", FormatElapsed(paused),
                                    ": ", live->reason())};
  }
  if (deadline_seconds > 0.0 && left < RemainingTime(state, observations, *live, now.monotonic)) {
    return Move{false, absl::StrCat("leaves ", device, ", where it is paused, for its deadline in ",
                                    FormatElapsed(std::max(left, absl::ZeroDuration())), ": ",
                                    live->reason())};
  }
  return std::nullopt;
}

}  // namespace wattle::core
