// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Learns profile rows from the receipt of a finished attempt.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/work_units.h"

namespace wattle::scheduler {
namespace {

// Lowest coverage from which a row is learned. With less, the samples' mean watts say too little
// about the part without samples.
constexpr double kCoverageMin = 0.8;

bool HasSensor(const v1::EnergyMeasurement& run) {
  return run.source() != v1::ENERGY_SOURCE_UNSPECIFIED && run.source() != v1::ENERGY_SOURCE_MODEL;
}

bool IsPositive(double value) {
  return std::isfinite(value) && value > 0;
}

bool Teaches(const v1::Receipt& receipt) {
  if (receipt.failure_class() != v1::FAILURE_CLASS_UNSPECIFIED || receipt.emulation_overrun()) {
    return false;
  }
  // After a restart of the runner some steps ran twice, and the work counts in total. Seconds per
  // unit would be no rate.
  if (receipt.restarts() > 0) {
    return false;
  }
  const v1::EnergyMeasurement& run = receipt.run();
  if (!IsPositive(run.seconds()) || !IsPositive(UnitsOf(receipt.work()))) {
    return false;
  }
  return !HasSensor(run) ||
         (run.coverage_ratio() >= kCoverageMin && IsPositive(run.mean_power_watts()));
}

// Adds one observation by Welford's update. The deviation is the sample's (divisor n - 1), kept as
// a share of the mean.
void Observe(double value, v1::Statistic* statistic) {
  const auto count = static_cast<double>(statistic->count());
  const double mean_before = statistic->mean();
  if (statistic->count() == 0) {
    statistic->set_min(value);
    statistic->set_max(value);
  }
  const double deviation = statistic->relative_deviation() * mean_before;
  const double squares_before = deviation * deviation * std::max(0.0, count - 1);
  const double mean = mean_before + (value - mean_before) / (count + 1);
  const double squares = squares_before + (value - mean_before) * (value - mean);
  statistic->set_mean(mean);
  statistic->set_count(statistic->count() + 1);
  statistic->set_relative_deviation(count > 0 ? std::sqrt(squares / count) / mean : 0);
  statistic->set_min(std::min(statistic->min(), value));
  statistic->set_max(std::max(statistic->max(), value));
}

// Running mean of a plain number, where 0 means unknown. `count` includes this observation.
double Blend(double before, double value, int64_t count) {
  if (!IsPositive(value)) {
    return before;
  }
  if (!IsPositive(before) || count <= 1) {
    return value;
  }
  return before + (value - before) / static_cast<double>(count);
}

void ObserveEnergy(const v1::EnergyMeasurement& run, double units, v1::ProfileRow* row) {
  if (!HasSensor(run)) {
    return;
  }
  // Mean watts × all seconds, not the measured joules: a gap in the samples saves no energy.
  Observe(run.mean_power_watts() * run.seconds() / units, row->mutable_energy_joules_per_unit());
  Observe(run.mean_power_watts(), row->mutable_power_watts());
  row->set_peak_power_watts(std::max(row->peak_power_watts(), run.peak_power_watts()));
  row->set_temperature_celsius_max(
      std::max(row->temperature_celsius_max(), run.temperature_celsius_max()));
  if (run.has_throttled_ratio()) {
    row->set_throttled_fraction(run.throttled_ratio());
  }
  if (run.idle_known()) {
    const int64_t count = row->power_watts().count();
    const double net_watts = std::max(0.0, run.mean_power_watts() - run.idle_power_watts());
    row->set_net_energy_joules_per_unit(
        Blend(row->net_energy_joules_per_unit(), net_watts * run.seconds() / units, count));
    row->set_idle_power_watts(Blend(row->idle_power_watts(), run.idle_power_watts(), count));
  }
}

// Mean padded length of an example. A fine-tuning's units may include held-out data; its tokens do
// not.
double UnitsPerExample(const v1::WorkDone& work) {
  const bool trained = work.unit() == v1::WORK_UNIT_TRAINING_TOKEN && work.tokens() > 0;
  const double units = trained ? static_cast<double>(work.tokens()) : UnitsOf(work);
  return units / static_cast<double>(work.examples());
}

v1::ProfileRow WithReceipt(v1::ProfileRow row, const v1::Receipt& receipt, absl::Time now) {
  const v1::WorkDone& work = receipt.work();
  const double units = UnitsOf(work);
  Observe(receipt.run().seconds() / units, row.mutable_seconds_per_unit());
  ObserveEnergy(receipt.run(), units, &row);
  const int64_t count = row.seconds_per_unit().count();
  if (work.examples() > 0) {
    row.set_units_per_example(Blend(row.units_per_example(), UnitsPerExample(work), count));
  }
  if (work.steps() > 0) {
    row.set_units_per_step(
        Blend(row.units_per_step(), units / static_cast<double>(work.steps()), count));
  }
  row.set_bytes_per_token(Blend(row.bytes_per_token(), work.bytes_per_token(), count));
  row.set_start_seconds(Blend(row.start_seconds(), receipt.start_seconds(), count));
  row.set_peak_memory_bytes(std::max(row.peak_memory_bytes(), receipt.peak_memory_bytes()));
  row.set_source_note(absl::StrCat("attempt ", receipt.attempt_id()));
  row.set_updated_unix_seconds(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  return row;
}

v1::ProfileRow EmptyRow(const v1::DeviceInfo& device, const v1::Receipt& receipt) {
  v1::ProfileRow row;
  row.set_device_class(device.device_class());
  row.set_emulated(device.emulated() || receipt.emulated());
  row.set_power_mode(receipt.power_mode());
  *row.mutable_signature() = receipt.work().signature();
  row.set_unit(receipt.work().unit());
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  return row;
}

}  // namespace

double UnitsOf(const v1::WorkDone& work) {
  if (work.unit() == v1::WORK_UNIT_GENERATED_TOKEN && work.generated_tokens() > 0) {
    return GenerationUnits(static_cast<double>(work.prompt_tokens()),
                           static_cast<double>(work.generated_tokens()));
  }
  return work.units();
}

std::vector<v1::ProfileRow> LearnFromReceipt(const ProfileTable& table,
                                             const v1::DeviceInfo& device,
                                             const v1::Receipt& receipt, absl::Time now) {
  std::vector<v1::ProfileRow> changed;
  if (!Teaches(receipt)) {
    return changed;
  }
  for (const std::string& device_id : {device.device_id(), std::string()}) {
    v1::ProfileRow row = EmptyRow(device, receipt);
    row.set_device_id(device_id);
    if (const v1::ProfileRow* known = table.FindLike(row); known != nullptr) {
      row = *known;
    }
    row = WithReceipt(std::move(row), receipt, now);
    // A receipt whose row is invalid (a worker with a broken meter) teaches nothing.
    if (ValidateProfileRow(row).ok()) {
      changed.push_back(std::move(row));
    }
  }
  return changed;
}

}  // namespace wattle::scheduler
