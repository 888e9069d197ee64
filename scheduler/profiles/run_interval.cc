// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/run_interval.h"

#include <algorithm>
#include <cmath>

namespace wattle::scheduler {
namespace {

bool IsFinitePositive(double value) {
  return std::isfinite(value) && value > 0;
}

// The level of a prediction that stands on the row alone.
v1::Provenance LevelOf(const v1::ProfileRow& row) {
  if (row.source() == v1::PROFILE_SOURCE_PUBLISHED) {
    return v1::PROVENANCE_PUBLISHED;
  }
  return row.device_id().empty() ? v1::PROVENANCE_MEASURED_CLASS : v1::PROVENANCE_MEASURED_DEVICE;
}

// Of the logarithm of the time, or of the power.
double DeviationOf(const v1::ProfileRow& row, v1::Provenance level, bool of_time) {
  if (level == v1::PROVENANCE_PUBLISHED) {
    return of_time ? kPublishedDeviation : kPowerPublishedDeviation;
  }
  const double repeats = row.seconds_per_unit().relative_deviation();
  const double own = of_time ? std::max(kRepeatDeviation, std::isfinite(repeats) ? repeats : 0.0)
                             : kPowerRepeatDeviation;
  return level == v1::PROVENANCE_MEASURED_CLASS ? std::hypot(own, kClassDeviation) : own;
}

}  // namespace

bool IsOutdated(const v1::ProfileRow& row) {
  return row.has_change() && !row.change().measured_since();
}

std::optional<v1::Interval> RunInterval(const v1::ProfileRow& row, Quantity quantity,
                                        const Calibration& calibration,
                                        const std::string& device_id) {
  double mean = quantity == Quantity::kTime ? row.seconds_per_unit().mean()
                                            : row.energy_joules_per_unit().mean();
  const v1::Provenance level = LevelOf(row);
  double time = DeviationOf(row, level, /*of_time=*/true);
  double power = DeviationOf(row, level, /*of_time=*/false);
  if (IsOutdated(row)) {
    // Nothing tells whether the change of other work is a change of this work: the middle of both
    // answers is the mean, and the interval holds both.
    const double half = 0.5 * std::log(row.change().time_ratio());
    mean *= std::exp(half);
    time = std::hypot(time, half / kInterval90);
    power = std::hypot(power, half / kInterval90);
  }
  const double deviation = quantity == Quantity::kTime ? time : std::hypot(time, power);
  if (!IsFinitePositive(mean) || !std::isfinite(deviation)) {
    return std::nullopt;
  }
  const double factor = calibration.IntervalFactor(quantity, level, row.emulated(), device_id);
  v1::Interval interval;
  interval.set_mean(mean);
  interval.set_low(mean * std::exp(-factor * deviation));
  interval.set_high(mean * std::exp(factor * deviation));
  return interval;
}

}  // namespace wattle::scheduler
