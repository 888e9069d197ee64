// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/run_interval.h"

#include <algorithm>
#include <cmath>

#include "scheduler/profiles/probe.h"

namespace wattle::scheduler {
namespace {

bool IsFinitePositive(double value) {
  return std::isfinite(value) && value > 0;
}

// The level of a prediction based only on this row.
v1::Provenance LevelOf(const v1::ProfileRow& row) {
  if (row.source() == v1::PROFILE_SOURCE_PUBLISHED) {
    return v1::PROVENANCE_PUBLISHED;
  }
  if (row.source() == v1::PROFILE_SOURCE_PROBED) {
    return v1::PROVENANCE_PROBED;
  }
  if (row.source() == v1::PROFILE_SOURCE_IMPORTED) {
    return v1::PROVENANCE_IMPORTED;
  }
  return row.device_id().empty() ? v1::PROVENANCE_MEASURED_CLASS : v1::PROVENANCE_MEASURED_DEVICE;
}

// Deviation of the logarithm of the time, or of the power.
double DeviationOf(const v1::ProfileRow& row, v1::Provenance level, bool of_time) {
  if (level == v1::PROVENANCE_PUBLISHED) {
    return of_time ? kPublishedDeviation : kPowerPublishedDeviation;
  }
  if (level == v1::PROVENANCE_PROBED) {
    return of_time ? kProbeDeviation : kPowerRepeatDeviation;
  }
  const double repeats = row.seconds_per_unit().relative_deviation();
  const double own = of_time ? std::max(kRepeatDeviation, std::isfinite(repeats) ? repeats : 0.0)
                             : kPowerRepeatDeviation;
  if (level == v1::PROVENANCE_IMPORTED) {
    return std::hypot(own, of_time ? kImportedDeviation : kPowerImportedDeviation);
  }
  return level == v1::PROVENANCE_MEASURED_CLASS ? std::hypot(own, kClassDeviation) : own;
}

}  // namespace

bool IsOfOtherEngine(const v1::ProfileRow& row, const std::string& engine_version) {
  const std::string& of_row = row.signature().engine_version();
  return !of_row.empty() && !engine_version.empty() && of_row != engine_version;
}

bool IsOutdated(const v1::ProfileRow& row) {
  return row.has_change() && !row.change().measured_since();
}

CarriedChange CarryOverChange(const v1::ProfileRow& row) {
  if (!IsOutdated(row)) {
    return {};
  }
  const double half = 0.5 * std::log(row.change().time_ratio());
  return {.factor = std::exp(half), .deviation = std::abs(half) / kInterval90};
}

std::optional<v1::Interval> RunInterval(const v1::ProfileRow& row, Quantity quantity,
                                        const Calibration& calibration,
                                        const std::string& device_id) {
  const CarriedChange change = CarryOverChange(row);
  const double mean =
      change.factor * (quantity == Quantity::kTime ? row.seconds_per_unit().mean()
                                                   : row.energy_joules_per_unit().mean());
  const v1::Provenance level = LevelOf(row);
  const double time = std::hypot(DeviationOf(row, level, /*of_time=*/true), change.deviation);
  const double power = std::hypot(DeviationOf(row, level, /*of_time=*/false), change.deviation);
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
