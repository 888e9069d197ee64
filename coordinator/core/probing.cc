// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/probing.h"

#include <algorithm>
#include <string>
#include <utility>

#include "coordinator/core/elapsed.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/moving.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/processor.h"
#include "scheduler/profiles/run_interval.h"

namespace wattle::core {
namespace {

bool IsTold(v1::Provenance provenance) {
  return provenance == v1::PROVENANCE_MEASURED_DEVICE || provenance == v1::PROVENANCE_PROBED;
}

// The last progress from the attempt's own device; null if there is none. Reports of other devices
// that name the attempt teach nothing about this one.
const v1::AttemptProgress* ProgressOf(const Observations& observations,
                                      const v1::Attempt& attempt) {
  const auto device = observations.devices.find(DeviceId(attempt.device_id()));
  if (device == observations.devices.end()) {
    return nullptr;
  }
  for (const v1::AttemptProgress& progress : device->second.heartbeat.progress()) {
    if (progress.attempt_id() == attempt.attempt_id()) {
      return &progress;
    }
  }
  return nullptr;
}

double IdleWatts(const Observations& observations, const v1::DeviceInfo& info) {
  const auto device = observations.devices.find(DeviceId(info.device_id()));
  const double told =
      device == observations.devices.end() ? 0 : device->second.heartbeat.idle_power_watts();
  return told > 0 ? told : info.idle_power_watts();
}

}  // namespace

void DecideProbe(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& attempt) {
  const State& state = builder.state();
  const v1::AttemptProgress* const progress = ProgressOf(builder.observations(), attempt);
  const v1::DeviceRecord* const device = FindDevice(state, DeviceId(attempt.device_id()));
  // A job with a quality floor has another signature than the model that it runs.
  if (attempt.state() != v1::ATTEMPT_STATE_RUNNING || device == nullptr ||
      attempt.has_model_choice() || !attempt.has_prediction() ||
      IsRevoked(state, DeviceId(attempt.device_id())) ||
      IsTold(attempt.prediction().provenance()) || progress == nullptr ||
      !scheduler::IsEnough(progress->steady()) || ProbeOf(state, attempt) != nullptr) {
    return;
  }
  const auto work = scheduler::WorkOf(job.spec(), ViewsOf(state, job), state.profiles);
  if (!work.ok()) {
    return;  // An input was removed meanwhile.
  }
  const v1::DeviceInfo info = scheduler::ProcessorOf(device->info(), attempt.on_cpu());
  std::optional<v1::ProfileRow> row = scheduler::LearnFromSteadyWork(
      {.attempt_id = attempt.attempt_id(),
       .device = info,
       .power_mode = attempt.power_mode().empty() ? info.power_mode() : attempt.power_mode(),
       .signature = work->signature,
       .unit = work->unit,
       .tokens_per_example = work->tokens_per_example,
       .answer_passes_per_example = work->answer_passes_per_example,
       .idle_power_watts = IdleWatts(builder.observations(), info)},
      progress->steady(), builder.now().wall);
  if (row.has_value()) {
    *builder.Add().mutable_profile_updated()->add_rows() = *std::move(row);
  }
}

const v1::ProfileRow* ProbeOf(const State& state, const v1::Attempt& attempt) {
  const v1::DeviceRecord* const device = FindDevice(state, DeviceId(attempt.device_id()));
  return device == nullptr
             ? nullptr
             : scheduler::FindProbe(state.profiles,
                                    scheduler::ProcessorOf(device->info(), attempt.on_cpu()),
                                    attempt.attempt_id());
}

void AddProbed(const State& state, const v1::Attempt& attempt, v1::Receipt& receipt) {
  receipt.clear_probed_run_seconds();
  receipt.clear_probed_run_energy_joules();
  const v1::ProfileRow* const probe = ProbeOf(state, attempt);
  const double units = attempt.prediction().work_units();
  if (probe == nullptr || !(units > 0)) {
    return;
  }
  const auto of_run = [&](scheduler::Quantity quantity) {
    auto interval =
        scheduler::RunInterval(*probe, quantity, state.profiles.calibration(), attempt.device_id());
    if (interval.has_value()) {
      interval->set_mean(units * interval->mean());
      interval->set_low(units * interval->low());
      interval->set_high(units * interval->high());
    }
    return interval;
  };
  if (const auto seconds = of_run(scheduler::Quantity::kTime); seconds.has_value()) {
    *receipt.mutable_probed_run_seconds() = *seconds;
  }
  if (const auto joules = of_run(scheduler::Quantity::kEnergy); joules.has_value()) {
    *receipt.mutable_probed_run_energy_joules() = *joules;
  }
}

std::optional<ProbedRest> ProbedRestOf(const State& state, const Observations& observations,
                                       const v1::Attempt& attempt, Monotonic now) {
  const v1::AttemptProgress* const progress = ProgressOf(observations, attempt);
  if (attempt.state() != v1::ATTEMPT_STATE_RUNNING || !scheduler::IsWide(attempt.prediction()) ||
      progress == nullptr || progress->remaining_seconds() <= 0) {
    return std::nullopt;
  }
  const v1::ProfileRow* const probe = ProbeOf(state, attempt);
  const auto interval =
      probe == nullptr ? std::nullopt
                       : scheduler::RunInterval(*probe, scheduler::Quantity::kTime,
                                                state.profiles.calibration(), attempt.device_id());
  if (!interval.has_value()) {
    return std::nullopt;
  }
  const absl::Duration mean = RemainingTime(state, observations, attempt, now);
  return ProbedRest{mean, mean * (interval->low() / interval->mean())};
}

}  // namespace wattle::core
