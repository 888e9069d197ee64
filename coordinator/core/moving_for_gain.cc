// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/moving_for_gain.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/planning_internal.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/releasing.h"
#include "proto/job_kind.h"

namespace wattle::core {
namespace {

// A device loses at most one attempt for a gain in this time, just as a job leaves at most one
// device.
constexpr absl::Duration kKeepsAttemptsAtLeast = absl::Hours(1);

// The attempt's last reported progress; null: none yet.
const v1::AttemptProgress* ToldBy(const Observations& observations, const v1::Attempt& attempt) {
  const auto found = observations.progress.find(AttemptId(attempt.attempt_id()));
  return found == observations.progress.end() ? nullptr : &found->second;
}

bool HandsOverForGain(const v1::JobRecord& record) {
  const v1::Attempt* const live = LiveAttempt(record.job());
  return live != nullptr && live->released() && live->released_for_gain();
}

// Joules above idle of the rest on its present device, including the upload of the result.
Joules MarginalOf(const State& state, const v1::Attempt& attempt, absl::Duration device_time) {
  const v1::Prediction& prediction = attempt.prediction();
  const v1::ProfileRow* const probe = ProbeOf(state, attempt);
  const double watts = probe != nullptr && probe->power_watts().count() > 0
                           ? probe->power_watts().mean()
                           : prediction.mean_power_watts();
  return Watts(std::max(0.0, watts - prediction.idle_power_watts())) * device_time +
         Joules(prediction.upload_energy_joules());
}

scheduler::RunningRest RestOf(const Outlook& outlook, const PlanningInputs& inputs,
                              const v1::JobRecord& record, const scheduler::DeviceView& view) {
  const auto& [state, observations, policies, now] = outlook;
  const v1::Job& job = record.job();
  const v1::Attempt& attempt = *LiveAttempt(job);
  const double scale = std::max(view.device.info().time_scale(), 1e-9);
  scheduler::RunningRest rest;
  rest.attempt = AttemptId(attempt.attempt_id());
  rest.device = DeviceId(attempt.device_id());
  rest.job = JobViewOf(state, observations, record, now);
  rest.job.spent = SpentSoFar(observations, job);
  rest.job.avoided_devices.push_back(rest.device);
  rest.job.peak_memory = PeakMemoryOf(state, inputs, rest.job.spec, rest.job.inputs);
  rest.job.checkpoint_bytes = static_cast<int64_t>(CheckpointBytes(state, job));
  if (const v1::AttemptProgress* const progress = ToldBy(observations, attempt);
      progress != nullptr) {
    rest.job.checkpoint_step = std::max(rest.job.checkpoint_step, progress->step());
  }
  rest.remaining = RemainingTime(state, observations, attempt, now.monotonic);
  rest.marginal = MarginalOf(state, attempt, rest.remaining / scale);
  rest.leaves = attempt.released();
  rest.hand_over = rest.leaves ? view.free_at - now.wall : HandOverTime(state, attempt);
  rest.hand_over_energy = HandOverEnergy(state, attempt);
  return rest;
}

bool IsFreeNow(const State& state, const Observations& observations, const DeviceId& id,
               const v1::DeviceRecord& record, Monotonic now) {
  return !record.removed() && !record.drained() && !state.wanted_attempts.contains(id) &&
         IsReachable(observations, id, now);
}

}  // namespace

bool MayMoveForGain(const State& state, const Observations& observations,
                    const v1::JobRecord& record, const Instant& now) {
  const v1::Job& job = record.job();
  const v1::Attempt* const live = job.state() == v1::JOB_STATE_ACTIVE ? LiveAttempt(job) : nullptr;
  if (live == nullptr || !MayRelease(state, observations, *live, now)) {
    return false;
  }
  const v1::AttemptProgress* const progress = ToldBy(observations, *live);
  return progress != nullptr && progress->step() > 0 && progress->remaining_seconds() > 0 &&
         live->has_prediction() && !live->has_model_choice() && !job.spec().has_quality_floor() &&
         SinceLeftForGain(state, observations, DeviceId(live->device_id()), now.monotonic) >=
             kKeepsAttemptsAtLeast;
}

bool MayMoveAnyForGain(const State& state, const Observations& observations, const Instant& now) {
  const bool any_is_free =
      std::any_of(state.devices.begin(), state.devices.end(), [&](const auto& device) {
        return IsFreeNow(state, observations, device.first, device.second, now.monotonic);
      });
  return any_is_free &&
         std::any_of(state.open_jobs.begin(), state.open_jobs.end(), [&](int64_t number) {
           return MayMoveForGain(state, observations, state.jobs.at(number), now);
         });
}

std::vector<scheduler::RunningRest> RestsOf(const Outlook& outlook, const PlanningInputs& inputs,
                                            const scheduler::Snapshot& snapshot) {
  const auto& [state, observations, policies, now] = outlook;
  std::vector<scheduler::RunningRest> rests;
  if (!MayMoveAnyForGain(state, observations, now)) {
    return rests;
  }
  std::set<JobId> planned;
  for (const scheduler::JobView& job : snapshot.queue) {
    planned.insert(job.id);
  }
  for (const scheduler::DeviceView& view : snapshot.devices) {
    const v1::Attempt* const attempt =
        FindAttempt(state, AttemptId(view.device.running_attempt_id()));
    const v1::JobRecord* const record =
        attempt == nullptr ? nullptr : FindJob(state, JobId(attempt->job_id()));
    if (record != nullptr && !planned.contains(JobId(attempt->job_id())) &&
        (HandsOverForGain(*record) || MayMoveForGain(state, observations, *record, now))) {
      rests.push_back(RestOf(outlook, inputs, *record, view));
    }
  }
  return rests;
}

}  // namespace wattle::core
