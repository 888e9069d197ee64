// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A pack's charge over a time of constant power. Pure; integers only.
#ifndef WATTLE_SCHEDULER_TIMETABLE_LEVEL_H_
#define WATTLE_SCHEDULER_TIMETABLE_LEVEL_H_

#include "scheduler/timetable/amounts.h"

namespace wattle::timetable {

struct Level {
  Millijoules lowest = 0;  // Not clipped at 0: below 0 the demand exceeded the pack's charge.
  Millijoules end = 0;
  Seconds worked = 0;  // The time for which pausable work ran.
};

// net: the pack's gain; negative: its loss. A full pack gains nothing more, an empty one gives
// nothing more.
Level Advance(Millijoules begin, Milliwatts net, Seconds length, Millijoules capacity);

// Work that rests while the charge is at most `floor`.
struct PausableWork {
  Milliwatts power = 0;
  Millijoules floor = 0;
};

// Advance with pausable work besides the loads in `net`. At its floor the work takes only the
// present sun: it runs for a share of the time.
Level AdvanceBeside(const PausableWork& work, Millijoules begin, Milliwatts net, Seconds length,
                    Millijoules capacity);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_LEVEL_H_
