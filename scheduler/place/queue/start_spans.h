// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Between which moments what a plan expects will begin and end: of 10 cases, 9 lie between them.
// Only of what somebody is shown, never in the search. Pure.
//
// A run begins when what is before it on the board has ended, so its span has the spans of all of
// these: the sum of their lower ends, and of their upper ones. That is a bound. Of several runs
// more than 9 of 10 cases lie within it.
#ifndef WATTLE_SCHEDULER_PLACE_QUEUE_START_SPANS_H_
#define WATTLE_SCHEDULER_PLACE_QUEUE_START_SPANS_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/pack.h"

namespace wattle::scheduler {

struct TimeSpan {
  absl::Time low;
  absl::Time high;
};

// What a run has to wait for on its board: the board's attempt, or another run of the plan.
struct RunAhead {
  absl::Time end;                // As planned.
  std::optional<TimeSpan> span;  // Of the end. nullopt: not known.
};

// The attempt of the device (its index in Snapshot::devices). load: before the first job of a plan.
// A device without an attempt is free now.
RunAhead AttemptAheadOn(const Snapshot& snapshot, size_t device, const DeviceLoad& load);

// runs: in the order of their ends.
void InsertAhead(const RunAhead& run, std::vector<RunAhead>& runs);
// The last one that has ended by `start`; the first one where none has. REQUIRES: not empty.
const RunAhead& LastAhead(const std::vector<RunAhead>& runs, absl::Time start);

// When the charge allows a run that is planned for `start`: from the sun that one of 20 paths
// exceeds to the sun that 19 of 20 exceed. `start` lies within it. free: when its board may take
// it. nullopt: a path so dark allows it at no time that the pack looks ahead to.
std::optional<TimeSpan> SpanUnderSun(const timetable::Pack& pack, const timetable::Draw& draw,
                                     absl::Time start, const TimeSpan& free);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_QUEUE_START_SPANS_H_
