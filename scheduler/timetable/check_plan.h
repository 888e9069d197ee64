// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks a plan only by the rules. The check shares no code with Timeline, Pack and Supply, which
// make plans, except the table of draw_quantile.h, so that no fault is common to both. The check is
// slow and straightforward. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_TIMETABLE_CHECK_PLAN_H_
#define WATTLE_SCHEDULER_TIMETABLE_CHECK_PLAN_H_

#include <optional>
#include <string>

#include "absl/types/span.h"

#include "scheduler/timetable/instance.h"

namespace wattle::timetable {

// The first broken rule, with its numbers; nullopt: the plan keeps all rules. The rules in their
// order, each named at the begin of the answer:
//   missing    each job has one entry, which may say that the job is left out;
//   option     the job can run on this device in this mode;
//   release    no job starts before it is known, or later than it must;
//   deadline   an entry claims to be in time if and only if its job ends by its deadline;
//   window     no job runs on a device that is closed;
//   overlap    a device runs one job at a time;
//   floor      work breaks a pack's floor in at most its broken_paths_max paths. If settled runs by
//              themselves break it in more, each planned run does in at most as many, and it breaks
//              the floor of no settled run in a path in which that run keeps it;
//   apart      no two jobs of a group run in one place, whenever;
//   power_cap  the boards of a supply never draw more together than its cap.
std::optional<std::string> CheckPlan(const Instance& instance, absl::Span<const Planned> plan);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_CHECK_PLAN_H_
