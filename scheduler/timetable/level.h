// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A pack's charge over a time of constant power. Pure; integers only.
#ifndef WATTLE_SCHEDULER_TIMETABLE_LEVEL_H_
#define WATTLE_SCHEDULER_TIMETABLE_LEVEL_H_

#include "scheduler/timetable/amounts.h"

namespace wattle::timetable {

struct Level {
  Millijoules lowest = 0;  // Not clipped at 0: below 0 the pack was asked for more than it held.
  Millijoules end = 0;
  Seconds worked = 0;  // For how long pausable work ran.
};

// net: what the pack gains, below 0 what it loses. A full pack takes no more, an empty one gives no
// more.
Level Advance(Millijoules begin, Milliwatts net, Seconds length, Millijoules capacity);

// Work that rests while the charge is at `floor` or below.
struct PausableWork {
  Milliwatts power = 0;
  Millijoules floor = 0;
};

// Likewise with such work beside what `net` has in it. At its floor the work takes what sun there
// is and no more: it runs for a share of the time.
Level AdvanceBeside(const PausableWork& work, Millijoules begin, Milliwatts net, Seconds length,
                    Millijoules capacity);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_LEVEL_H_
