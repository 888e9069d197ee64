// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds boards of one class whose rows contradict each other. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_CONTRADICTION_H_
#define WATTLE_SCHEDULER_PROFILES_CONTRADICTION_H_

#include <vector>

#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

struct Contradiction {
  v1::ProfileRow row;    // The row of the board that differs.
  v1::ProfileRow other;  // The nearest row of another board of the class, which is still too far
                         // away.
  Quantity quantity = Quantity::kTime;
  double ratio = 1;          // row's number over that of other.
  double allowed_ratio = 1;  // Largest ratio that both intervals allow, above 1.
};

// At most one for each board: the one that exceeds its allowed ratio by most. Two boards contradict
// each other in a workload, batch, length and power mode if the 90 % intervals of their runs are
// further apart than boards of one class are (kClassDeviation, nine times in ten). If more than two
// boards have the row, the differing board is the one that contradicts more than half of the
// others; of two boards, the one with the higher number. A row of one run, or from before a change
// of its device, contradicts none. Classes "generic-…" are left out, because their machines share
// only an instruction set. In the order of the table.
[[nodiscard]] std::vector<Contradiction> FindContradictions(const ProfileTable& table);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_CONTRADICTION_H_
