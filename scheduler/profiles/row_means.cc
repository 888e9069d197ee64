// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/row_means.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace wattle::scheduler {
namespace {

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
  // Recovers the sum of squares from the stored deviation, because the row keeps no sums.
  const double squares_before = deviation * deviation * std::max(0.0, count - 1);
  const double mean = mean_before + (value - mean_before) / (count + 1);
  const double squares = squares_before + (value - mean_before) * (value - mean);
  statistic->set_mean(mean);
  statistic->set_count(statistic->count() + 1);
  statistic->set_relative_deviation(count > 0 ? std::sqrt(squares / count) / mean : 0);
  statistic->set_min(std::min(statistic->min(), value));
  statistic->set_max(std::max(statistic->max(), value));
}

}  // namespace

bool IsPositive(double value) {
  return std::isfinite(value) && value > 0;
}

double MiddleOf(std::vector<double> values) {
  values.erase(
      std::remove_if(values.begin(), values.end(), [](double value) { return !IsPositive(value); }),
      values.end());
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : std::sqrt(values[half - 1] * values[half]);
}

double Blend(double before, double value, int64_t count) {
  if (!IsPositive(value)) {
    return before;
  }
  if (!IsPositive(before) || count <= 1) {
    return value;
  }
  return before + (value - before) / static_cast<double>(count);
}

void CountRun(const v1::RunObservation& run, v1::ProfileRow* row) {
  Observe(run.seconds_per_unit(), row->mutable_seconds_per_unit());
  if (run.power_watts() <= 0) {
    return;
  }
  // Mean watts × all seconds, not the measured joules: a gap in the samples saves no energy.
  Observe(run.power_watts() * run.seconds_per_unit(), row->mutable_energy_joules_per_unit());
  Observe(run.power_watts(), row->mutable_power_watts());
  row->set_peak_power_watts(std::max(row->peak_power_watts(), run.peak_power_watts()));
  row->set_temperature_celsius_max(
      std::max(row->temperature_celsius_max(), run.temperature_celsius_max()));
  if (run.has_throttled_fraction()) {
    row->set_throttled_fraction(run.throttled_fraction());
  }
  if (run.has_idle_power_watts()) {
    const int64_t count = row->power_watts().count();
    const double net_watts = std::max(0.0, run.power_watts() - run.idle_power_watts());
    // Only runs with a known idle draw have net joules, so their mean is kept separately.
    row->set_net_energy_joules_per_unit(
        Blend(row->net_energy_joules_per_unit(), net_watts * run.seconds_per_unit(), count));
    row->set_idle_power_watts(Blend(row->idle_power_watts(), run.idle_power_watts(), count));
  }
}

bool IsMeasurement(const v1::RunObservation& run) {
  return !run.contended() && run.seconds_per_unit() > 0;
}

std::vector<v1::RunObservation> Measurements(const v1::ProfileRow& row) {
  std::vector<v1::RunObservation> runs;
  std::copy_if(row.runs().begin(), row.runs().end(), std::back_inserter(runs), IsMeasurement);
  return runs;
}

bool IsOfAContendedRun(const v1::ProfileRow& row) {
  return row.seconds_per_unit().count() == 1 && row.runs_size() > 0 && Measurements(row).empty();
}

void CountAnew(int runs, v1::ProfileRow* row) {
  row->clear_seconds_per_unit();
  row->clear_energy_joules_per_unit();
  row->clear_power_watts();
  row->clear_peak_power_watts();
  row->clear_temperature_celsius_max();
  row->clear_throttled_fraction();
  row->clear_net_energy_joules_per_unit();
  row->clear_idle_power_watts();
  const std::vector<v1::RunObservation> measured = Measurements(*row);
  for (size_t i = measured.size() - static_cast<size_t>(runs); i < measured.size(); ++i) {
    CountRun(measured[i], row);
  }
}

}  // namespace wattle::scheduler
