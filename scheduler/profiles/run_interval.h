// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a row says about one more run of its own workload: the deviations of the predictor's levels
// "measured on the device", "measured on the class", "imported" and "published", and the 90 %
// interval of one run that follows from them. An interval is of one run, never of the mean: a job
// is one run. Pure; thread-safe.
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
// Of an imported row: the class of boards and the engine are the same; cooling, power supply,
// operating system and versions are those of another fleet.
inline constexpr double kImportedDeviation = 0.25;
// Of a published row of this model, which another engine and operating system measured.
inline constexpr double kPublishedDeviation = 0.15;
inline constexpr double kPowerRepeatDeviation = 0.04;
inline constexpr double kPowerImportedDeviation = 0.12;
inline constexpr double kPowerPublishedDeviation = 0.08;

// Of a row that another version of the engine measured: nobody knows what an update did to this
// work. An update that makes it 1.5 times as slow is at the end of the interval.
inline constexpr double kOtherEngineDeviation = 0.25;

// Whether the device has another version of the engine than that of the row's runs. A row or a
// device that tells none has the same.
[[nodiscard]] bool IsOfOtherEngine(const v1::ProfileRow& row, const std::string& engine_version);

// Whether the device became faster or slower after the row was measured.
[[nodiscard]] bool IsOutdated(const v1::ProfileRow& row);

// What a change of the device does to the numbers of an outdated row. Nothing tells whether the
// change of other work is a change of this work, so the middle of both answers is the mean, and the
// interval holds both.
struct CarriedChange {
  double factor = 1;     // Of the mean seconds and joules.
  double deviation = 0;  // Of the logarithm, on top of the row's own.
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
