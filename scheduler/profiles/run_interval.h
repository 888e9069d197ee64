// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A row's prediction of one more run of its own workload: the deviations of the predictor's levels
// "measured on the device", "measured on the class", "imported" and "published", and the 90 %
// interval of one run that follows from them. An interval describes one run, never the mean,
// because a job is one run. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_RUN_INTERVAL_H_
#define WATTLE_SCHEDULER_PROFILES_RUN_INTERVAL_H_

#include <optional>
#include <string>

#include "scheduler/profiles/calibration.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Standard deviations of the logarithm. Repeats of one workload on one device differ by about the
// first (heat, other processes), two devices of a class by about the second.
inline constexpr double kRepeatDeviation = 0.04;
inline constexpr double kClassDeviation = 0.10;
// Deviation of an imported row: class and engine are the same; cooling, power supply, operating
// system and versions are another fleet's.
inline constexpr double kImportedDeviation = 0.25;
// Deviation of a published row of this model, which was measured with another engine and operating
// system.
inline constexpr double kPublishedDeviation = 0.15;
inline constexpr double kPowerRepeatDeviation = 0.04;
inline constexpr double kPowerImportedDeviation = 0.12;
inline constexpr double kPowerPublishedDeviation = 0.08;

// Deviation of a row from another version of the engine, because the effect of an update on this
// work is unknown. An update that makes the work 1.5 times slower lies at the end of the interval.
inline constexpr double kOtherEngineDeviation = 0.25;

// Whether the device has another version of the engine than that of the row's runs. A row or a
// device without a version counts as equal.
[[nodiscard]] bool IsOfOtherEngine(const v1::ProfileRow& row, const std::string& engine_version);

// Whether the device became faster or slower after the row was measured.
[[nodiscard]] bool IsOutdated(const v1::ProfileRow& row);

// The effect of a device's change on the numbers of an outdated row. Whether a change seen in other
// work also applies to this work is unknown, so the mean lies midway between both cases, and the
// interval contains both.
struct CarriedChange {
  double factor = 1;     // Factor on the mean seconds and joules.
  double deviation = 0;  // Deviation of the logarithm, added to the row's own.
};
[[nodiscard]] CarriedChange CarryOverChange(const v1::ProfileRow& row);

// Seconds or joules of a unit of work in one more run at the row's batch, length and mode on the
// device, as Predict states it: mean, and the calibrated 90 % interval. device_id: the row's own
// device, or a device that the row of its class serves. nullopt if the row has no such number, or
// one that is not finite and positive.
[[nodiscard]] std::optional<v1::Interval> RunInterval(const v1::ProfileRow& row, Quantity quantity,
                                                      const Calibration& calibration,
                                                      const std::string& device_id);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_RUN_INTERVAL_H_
