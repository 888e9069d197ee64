// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/probe.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/row_means.h"
#include "scheduler/profiles/run_interval.h"

namespace wattle::scheduler {
namespace {

constexpr double kSecondsMin = 5;
constexpr int64_t kStepsMin = 4;
// A board with steps of many seconds cannot make four of them in half a minute. The padding of a
// single step is counted, and such a long step averages over the causes that make short steps
// differ.
constexpr double kSecondsEnough = 15;
// If readings cover less of the work, the mean watts are not representative.
constexpr double kCoverageMin = 0.5;

void SetOnce(double value, v1::Statistic* statistic) {
  statistic->set_mean(value);
  statistic->set_count(1);
  statistic->set_min(value);
  statistic->set_max(value);
}

void AddPower(const ProbedAttempt& attempt, const v1::SteadyWork& steady, v1::ProfileRow* row) {
  if (!IsPositive(steady.covered_seconds()) || !IsPositive(steady.energy_joules()) ||
      steady.covered_seconds() < kCoverageMin * steady.seconds()) {
    return;
  }
  const double watts = steady.energy_joules() / steady.covered_seconds();
  const double seconds_per_unit = row->seconds_per_unit().mean();
  SetOnce(watts, row->mutable_power_watts());
  SetOnce(watts * seconds_per_unit, row->mutable_energy_joules_per_unit());
  if (IsPositive(attempt.idle_power_watts)) {
    row->set_idle_power_watts(attempt.idle_power_watts);
    row->set_net_energy_joules_per_unit(std::max(0.0, watts - attempt.idle_power_watts) *
                                        seconds_per_unit);
  }
}

}  // namespace

bool IsWide(const v1::Prediction& prediction) {
  const v1::Interval& seconds = prediction.run_seconds();
  const double half = seconds.high() / seconds.mean();
  return IsPositive(seconds.mean()) && IsPositive(seconds.low()) && half * half > kProbeAboveRatio;
}

bool IsEnough(const v1::SteadyWork& steady) {
  return std::isfinite(steady.seconds()) && steady.steps() > 0 && steady.tokens() > 0 &&
         (steady.seconds() >= kSecondsEnough ||
          (steady.seconds() >= kSecondsMin && steady.steps() >= kStepsMin));
}

std::optional<v1::ProfileRow> LearnFromSteadyWork(const ProbedAttempt& attempt,
                                                  const v1::SteadyWork& steady, absl::Time now) {
  const bool counts_tokens =
      attempt.unit == v1::WORK_UNIT_TRAINING_TOKEN || attempt.unit == v1::WORK_UNIT_EVALUATED_TOKEN;
  if (!IsEnough(steady) || !counts_tokens || attempt.answer_passes_per_example > 0) {
    return std::nullopt;
  }
  v1::ProfileRow row;
  row.set_device_class(attempt.device.device_class());
  row.set_device_id(attempt.device.device_id());
  row.set_emulated(attempt.device.emulated());
  row.set_power_mode(attempt.power_mode);
  *row.mutable_signature() = attempt.signature;
  row.set_unit(attempt.unit);
  const auto tokens = static_cast<double>(steady.tokens());
  SetOnce(steady.seconds() / tokens, row.mutable_seconds_per_unit());
  AddPower(attempt, steady, &row);
  row.set_units_per_example(attempt.tokens_per_example);
  row.set_units_per_step(tokens / static_cast<double>(steady.steps()));
  row.set_source(v1::PROFILE_SOURCE_PROBED);
  row.set_source_note(
      absl::StrFormat("the first %.0f s of attempt %s", steady.seconds(), attempt.attempt_id));
  row.set_probe_attempt_id(attempt.attempt_id);
  if (const v1::PowerMode* const mode = FindListedMode(attempt.device, attempt.power_mode);
      mode != nullptr) {
    v1::RunObservation& steps = *row.add_runs();
    steps.set_at_unix_seconds(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
    steps.set_seconds_per_unit(row.seconds_per_unit().mean());
    *steps.mutable_power_mode() = *mode;
  }
  row.set_updated_unix_seconds(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  return ValidateProfileRow(row).ok() ? std::optional(row) : std::nullopt;
}

std::vector<const v1::ProfileRow*> ProbesOf(const ProfileTable& table,
                                            const v1::DeviceInfo& device) {
  v1::ProfileRow of_device;
  of_device.set_device_class(device.device_class());
  of_device.set_device_id(device.device_id());
  of_device.set_emulated(device.emulated());
  of_device.set_source(v1::PROFILE_SOURCE_PROBED);
  return table.OfDevice(of_device);
}

const v1::ProfileRow* FindProbe(const ProfileTable& table, const v1::DeviceInfo& device,
                                const std::string& attempt_id) {
  for (const v1::ProfileRow* row : ProbesOf(table, device)) {
    if (row->probe_attempt_id() == attempt_id) {
      return row;
    }
  }
  return nullptr;
}

void ScoreProbe(const v1::ProfileRow& probe, v1::RunObservation* run) {
  const double time = std::log(run->seconds_per_unit() / probe.seconds_per_unit().mean());
  run->set_probe_time_score(std::abs(time) / kProbeDeviation);
  if (run->power_watts() > 0 && probe.energy_joules_per_unit().mean() > 0) {
    const double joules = run->power_watts() * run->seconds_per_unit();
    run->set_probe_energy_score(std::abs(std::log(joules / probe.energy_joules_per_unit().mean())) /
                                std::hypot(kProbeDeviation, kPowerRepeatDeviation));
  }
}

}  // namespace wattle::scheduler
