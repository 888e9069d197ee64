// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When the work of a board runs and when it is stopped: an attempt that is paused now, and runs
// that a window or a daily budget will stop. Work draws power only while it runs. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_WORK_TIMES_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_WORK_TIMES_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "policy/limits.h"
#include "policy/open_times.h"
#include "policy/schedule.h"
#include "policy/work_pieces.h"
#include "scheduler/place/snapshot.h"
#include "units/quantity.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Limits that stop the work of a board at times that follow from a clock or a sum of joules.
struct WorkTimes {
  policy::OpenTimes windows;
  std::optional<policy::BudgetLimit> budget;
};
// Null: there are no such limits.
std::shared_ptr<const WorkTimes> WorkTimesOf(const policy::Limits& limits);

// Work that may be stopped at any second.
struct WorkAhead {
  absl::Time begin;
  absl::Duration work = absl::ZeroDuration();  // Wall.
  Watts draw;                                  // In each wall second of work.
  Joules spent;                                // Part of the budget of `begin`'s day.
};
// The pieces in which the work runs, in order of time; the last piece ends with the work. times:
// null: one piece from `begin` on. After a number of pieces beyond every plan's horizon the rest
// counts as one. Empty: the work never ends.
std::vector<policy::WorkPiece> PiecesOf(const WorkTimes* times, const WorkAhead& ahead);

// The remaining work of the device's attempt from `now` on, if only its present pause stopped it.
// free_at: see DeviceView. nullopt: none.
std::optional<WorkAhead> AttemptAhead(const DeviceView& view, absl::Time free_at, absl::Time now);

// Removes everything after `end`.
void CutAt(absl::Time end, std::vector<policy::WorkPiece>& pieces);
// Draw of the device's attempt in each wall second of work.
Watts DrawOfAttempt(const DeviceView& view);

struct RunFromStart {
  const v1::Prediction& prediction;
  double start_in_seconds = 0;
  Joules spent;  // Part of the day's budget spent at the start.
};
// Wall seconds from now until the end of a run of `run_seconds`, including the pauses for the
// device's windows and budget.
double FinishIn(absl::Time now, const policy::Limits& limits, const policy::OpenTimes& windows,
                const RunFromStart& run, double run_seconds);

// A run or an attempt longer than a century counts as endless.
inline constexpr absl::Duration kNeverEnds = absl::Hours(100 * 366 * 24);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_WORK_TIMES_H_
