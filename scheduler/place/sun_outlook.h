// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a plan expects of the sun of one pack, from what the pack's gauge told: the mean harvest of
// each hour of the day over the days before, and what came in each of the latest hours. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_SUN_OUTLOOK_H_
#define WATTLE_SCHEDULER_PLACE_SUN_OUTLOOK_H_

#include "absl/time/time.h"

#include "scheduler/timetable/harvest_paths.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// How far a plan looks ahead at sun and charge: three nights.
inline constexpr int kSunHours = 72;

// Beyond this power no board and no panel is real, and integers of millijoules could overflow.
inline constexpr Watts kPowerMax(1e5);

// Whether the device told the harvest of an hour of the day at least, and nothing absurd.
bool HasSeenSun(const v1::Device& device);

// Of so many hours as a plan looks ahead, the present one first. REQUIRES: HasSeenSun(gauge).
timetable::SunOutlook SunOutlookOf(const v1::Device& gauge, absl::Time now);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SUN_OUTLOOK_H_
