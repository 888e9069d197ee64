// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When the work of a board goes on and when it stands still: an attempt that is paused now, and
// runs that a window or a daily budget will stop. What work draws, it draws while it goes on. Pure.
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

// What stops the work of a board at times that a clock or a sum of joules tells.
struct WorkTimes {
  policy::OpenTimes windows;
  std::optional<policy::BudgetLimit> budget;
};
// Null: nothing does.
std::shared_ptr<const WorkTimes> WorkTimesOf(const policy::Limits& limits);

// Work that may be stopped, from its first second on.
struct WorkAhead {
  absl::Time begin;
  absl::Duration work = absl::ZeroDuration();  // Wall.
  Watts draw;                                  // In each wall second of work.
  Joules spent;                                // Of the budget, in the day of `begin`.
};
// When it goes on, in order of time; the last piece ends with it. times: null: at once and to its
// end. Behind so many pieces that no plan looks there the rest counts as one. Empty: it never ends.
std::vector<policy::WorkPiece> PiecesOf(const WorkTimes* times, const WorkAhead& ahead);

// The work that the attempt of the device still has from `now` on, if it were stopped by nothing
// but the pause that it has now. free_at: as DeviceView's. nullopt: none.
std::optional<WorkAhead> AttemptAhead(const DeviceView& view, absl::Time free_at, absl::Time now);

// Leaves out what lies behind the moment.
void CutAt(absl::Time end, std::vector<policy::WorkPiece>& pieces);
// What the attempt of the device draws in each wall second of work.
Watts DrawOfAttempt(const DeviceView& view);

struct RunFromStart {
  const v1::Prediction& prediction;
  double start_in_seconds = 0;
  Joules spent;  // Of the day's budget, at the start.
};
// Wall seconds from now until the end of a run of `run_seconds`, including the pauses for the
// device's windows and budget.
double FinishIn(absl::Time now, const policy::Limits& limits, const policy::OpenTimes& windows,
                const RunFromStart& run, double run_seconds);

// A run or an attempt that takes a century never ends.
inline constexpr absl::Duration kNeverEnds = absl::Hours(100 * 366 * 24);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_WORK_TIMES_H_
