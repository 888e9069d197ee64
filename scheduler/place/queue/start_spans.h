// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Time spans in which the runs of a plan begin and end, with 90 % probability. Computed only for
// what is shown, never in the search. Pure.
//
// A run begins when the previous work of the board has ended, so its span adds up the spans of that
// work: the sum of the lower ends, and of the upper ones. This is a bound: for several runs the
// probability exceeds 90 %.
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

// The work that a run waits for on its board: the board's attempt, or another run of the plan.
struct RunAhead {
  absl::Time end;                // By the plan.
  std::optional<TimeSpan> span;  // Span of the end. nullopt: unknown.
};

// The attempt of the device (an index in Snapshot::devices). load: before the first job of a plan.
// A device without an attempt is free now.
RunAhead AttemptAheadOn(const Snapshot& snapshot, size_t device, const DeviceLoad& load);

// runs: sorted by end.
void InsertAhead(const RunAhead& run, std::vector<RunAhead>& runs);
// The last run that has ended by `start`; the first one if none has. REQUIRES: not empty.
const RunAhead& LastAhead(const std::vector<RunAhead>& runs, absl::Time start);

// The span in which the charge allows a run that is planned for `start`: from the sun that one of
// 20 paths exceeds to the sun that 19 of 20 exceed. The span contains `start`. free: when its board
// may take the run. nullopt: under one of these paths the run fits at no time within the pack's
// horizon.
std::optional<TimeSpan> SpanUnderSun(const timetable::Pack& pack, const timetable::Draw& draw,
                                     absl::Time start, const TimeSpan& free);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_QUEUE_START_SPANS_H_
