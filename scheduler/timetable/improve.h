// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Improves a plan: takes a few related jobs out and puts them back, each in its cheapest way, again
// and again. Related jobs share a device, a pack or a time. This is large neighbourhood search
// (P. Shaw, "Using Constraint Programming and Local Search Methods to Solve Vehicle Routing
// Problems", 1998) with the acceptance of G. Dueck and T. Scheuer ("Threshold accepting", 1990): a
// dearer plan is accepted while it is dearer by less than a threshold, which falls to 0.
//
// Bounded by moves and never by time, with random numbers of its own: the same instance, moves and
// seed give the same plan on every architecture. Pure.
#ifndef WATTLE_SCHEDULER_TIMETABLE_IMPROVE_H_
#define WATTLE_SCHEDULER_TIMETABLE_IMPROVE_H_

#include <cstdint>

#include "scheduler/timetable/instance.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::timetable {

struct SearchBudget {
  int moves = 0;
  uint64_t seed = 0;
};

// The best schedule that the search finds; never dearer than `begin`.
Schedule Improve(const Instance& instance, Schedule begin, const SearchBudget& budget);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_IMPROVE_H_
