// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a plan expects of the sun of one pack. Pure.
//  - The pack's gauge tells the mean harvest of each hour of the day over the days before, and what
//    came in each of the latest hours.
//  - A forecast counts as far as it is trusted.
//  - Where the place is known, no hour is brighter than under a clear sky, sun at night is a fault
//    of the gauge, and an hour that the gauge never saw is as bright as the others let expect.
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

// How far a plan looks ahead at sun and charge: three nights.
inline constexpr int kSunHours = 72;

// Beyond this power no board and no panel is real, and integers of millijoules could overflow.
inline constexpr Watts kPowerMax(1e5);

// Whether the device told the harvest of an hour of the day at least, and nothing absurd.
bool HasSeenSun(const v1::Device& device);

// Of so many hours as a plan looks ahead, the present one first. gauge: the view of the board whose
// gauge tells of the pack. REQUIRES: HasSeenSun(gauge.device).
timetable::SunOutlook SunOutlookOf(const DeviceView& gauge, const std::optional<v1::Place>& place,
                                   absl::Time now);

// By what SunOutlookOf expects the sun, for people: "its own days before; forecast north counts 60
// %; this day brought 62 % of that so far; at most a clear sky".
std::string DescribeSun(const DeviceView& gauge, const std::optional<v1::Place>& place,
                        absl::Time now);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SUN_SUN_OUTLOOK_H_
