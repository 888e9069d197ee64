// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The earliest start of a run on one device: the device is free, its pack keeps its floor, and its
// supply its cap.
// Reserved work never moves. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_TIMETABLE_EARLIEST_START_H_
#define WATTLE_SCHEDULER_TIMETABLE_EARLIEST_START_H_

#include <optional>

#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/supply.h"
#include "scheduler/timetable/timeline.h"

namespace wattle::timetable {

// The device's power source.
struct PowerSource {
  const Pack* pack = nullptr;      // Null: mains.
  const Supply* supply = nullptr;  // Null: no cap on the boards' total draw.
};

// latest_end: a deadline, or the end of the caller's search. nullopt: no start lets the run end by
// then and within the pack's horizon.
std::optional<Seconds> EarliestStart(const Timeline& timeline, const PowerSource& power,
                                     const Draw& draw, Seconds after, Seconds latest_end);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_EARLIEST_START_H_
