// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/releasing.h"

#include <algorithm>
#include <vector>

#include "coordinator/core/elapsed.h"
#include "coordinator/core/inputs_internal.h"
#include "policy/held_back.h"
#include "proto/job_kind.h"
#include "scheduler/predict/work.h"
#include "units/id.h"

namespace wattle::core {
namespace {

constexpr absl::Duration kStaysAtLeast = absl::Hours(1);

double ScaleOf(const State& state, const v1::Attempt& attempt) {
  const v1::DeviceRecord* const device = FindDevice(state, DeviceId(attempt.device_id()));
  return device == nullptr || device->info().time_scale() <= 0 ? 1 : device->info().time_scale();
}

// Whether an attempt of the job that had begun was released within the last hour.
bool LeftLately(const State& state, const Observations& observations, const v1::Job& job,
                const Instant& now) {
  return std::any_of(job.attempts().begin(), job.attempts().end(), [&](const v1::Attempt& attempt) {
    return attempt.released() && attempt.started_unix_seconds() > 0 &&
           SinceStateChange(state, observations, AttemptId(attempt.attempt_id()), now.monotonic) <
               kStaysAtLeast;
  });
}

}  // namespace

double CheckpointBytes(const State& state, const v1::Job& job) {
  const auto work = scheduler::WorkOf(job.spec(), ViewsOf(state, job), state.profiles);
  return work.ok() ? work->checkpoint_bytes : 0;
}

bool MayRelease(const State& state, const Observations& observations, const v1::Attempt& attempt,
                const Instant& now) {
  const DeviceId device(attempt.device_id());
  const v1::DeviceRecord* const record = FindDevice(state, device);
  const v1::Job& job = FindJob(state, JobId(attempt.job_id()))->job();
  return attempt.state() == v1::ATTEMPT_STATE_RUNNING && !attempt.released() && record != nullptr &&
         !record->drained() && KindOf(job.spec()).keeps_checkpoints &&
         IsReachable(observations, device, now.monotonic) &&
         !LeftLately(state, observations, job, now);
}

absl::Duration HandOverTime(const State& state, const v1::Attempt& attempt) {
  const v1::Job& job = FindJob(state, JobId(attempt.job_id()))->job();
  const v1::Prediction& prediction = attempt.prediction();
  const double seconds_per_byte =
      prediction.upload_bytes() > 0
          ? prediction.upload_seconds() / static_cast<double>(prediction.upload_bytes())
          : 0;
  const absl::Duration upload = absl::Seconds(CheckpointBytes(state, job) * seconds_per_byte);
  return ScaleOf(state, attempt) *
         (policy::StopTime(policy::PredictedStop(job.spec(), prediction)) + upload);
}

Joules HandOverEnergy(const State& state, const v1::Attempt& attempt) {
  const v1::Job& job = FindJob(state, JobId(attempt.job_id()))->job();
  const v1::Prediction& prediction = attempt.prediction();
  const double above_idle =
      std::max(0.0, prediction.mean_power_watts() - prediction.idle_power_watts());
  const double joules_per_byte =
      prediction.upload_bytes() > 0
          ? prediction.upload_energy_joules() / static_cast<double>(prediction.upload_bytes())
          : 0;
  return Watts(above_idle) * policy::StopTime(policy::PredictedStop(job.spec(), prediction)) +
         Joules(joules_per_byte * CheckpointBytes(state, job));
}

std::optional<scheduler::ReleasableAttempt> ReleasableOf(const State& state,
                                                         const Observations& observations,
                                                         const v1::Attempt& attempt,
                                                         absl::Duration remaining,
                                                         const Instant& now) {
  if (!MayRelease(state, observations, attempt, now)) {
    return std::nullopt;
  }
  const v1::JobRecord& record = *FindJob(state, JobId(attempt.job_id()));
  const v1::JobSpec& spec = record.job().spec();
  scheduler::ReleasableAttempt releasable;
  releasable.id = AttemptId(attempt.attempt_id());
  releasable.job = JobId(attempt.job_id());
  releasable.priority = spec.priority();
  if (spec.deadline_seconds() > 0) {
    releasable.deadline = now.wall + absl::Seconds(spec.deadline_seconds()) -
                          JobAge(state, observations, record, now.monotonic);
  }
  releasable.remaining = remaining;
  releasable.hand_over = HandOverTime(state, attempt);
  releasable.resume = ScaleOf(state, attempt) * absl::Seconds(attempt.prediction().start_seconds());
  return releasable;
}

}  // namespace wattle::core
