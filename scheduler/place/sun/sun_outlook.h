// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A plan's expectation of the sun on one pack. Pure.
//  - The pack's gauge gives the mean harvest of each hour of the day over the days before, and the
//    harvest of each of the latest hours.
//  - A forecast counts in proportion to its trust.
//  - If the place is known, no hour is brighter than under a clear sky, sun at night is a fault of
//    the gauge, and an hour that the gauge never saw is estimated from the others.
#ifndef WATTLE_SCHEDULER_PLACE_SUN_SUN_OUTLOOK_H_
#define WATTLE_SCHEDULER_PLACE_SUN_SUN_OUTLOOK_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/harvest_paths.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::scheduler {

// Horizon of plans for sun and charge: three nights.
inline constexpr int kSunHours = 72;

// No real board or panel has more power, and integers of millijoules could overflow.
inline constexpr Watts kPowerMax(1e5);

// Whether the device reported the harvest of at least one hour of the day, without absurd values.
bool HasSeenSun(const v1::Device& device);

// The outlook for the hours of a plan's horizon, the present one first. gauge: the view of the
// board whose gauge measures the pack. REQUIRES: HasSeenSun(gauge.device).
timetable::SunOutlook SunOutlookOf(const DeviceView& gauge, const std::optional<v1::Place>& place,
                                   absl::Time now);

// The basis of SunOutlookOf's expectation, for people: "its own days before; forecast north counts
// 60 %; this day brought 62 % of that so far; at most a clear sky".
std::string DescribeSun(const DeviceView& gauge, const std::optional<v1::Place>& place,
                        absl::Time now);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SUN_SUN_OUTLOOK_H_
