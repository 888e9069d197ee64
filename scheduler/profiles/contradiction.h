// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards of one class whose rows say different things. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_CONTRADICTION_H_
#define WATTLE_SCHEDULER_PROFILES_CONTRADICTION_H_

#include <vector>

#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

struct Contradiction {
  v1::ProfileRow row;    // Of the board that differs.
  v1::ProfileRow other;  // Of the board of its class that lies nearest and still too far.
  Quantity quantity = Quantity::kTime;
  double ratio = 1;          // row's number over that of other.
  double allowed_ratio = 1;  // Up to which the intervals of both allow a difference, above 1.
};

// At most one for each board: the one that exceeds its allowed ratio by most. Two boards contradict
// each other in a workload, batch, length and power mode if the 90 % intervals of their runs are
// further apart than boards of one class are (kClassDeviation, nine times in ten). Where more than
// two boards have the row, the odd one is that which contradicts more than half of the others; of
// two boards it is the one with the higher number. A row of one run, or from before a change of its
// device, contradicts nothing. Classes "generic-…" are left out: their machines have nothing in
// common but an instruction set. In the order of the table.
[[nodiscard]] std::vector<Contradiction> FindContradictions(const ProfileTable& table);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_CONTRADICTION_H_
