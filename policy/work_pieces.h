// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The times at which a run works if it pauses while windows are closed and while the day's budget
// is spent. Such a run draws power only in these pieces. Pure; thread-safe.
#ifndef WATTLE_POLICY_WORK_PIECES_H_
#define WATTLE_POLICY_WORK_PIECES_H_

#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "policy/open_times.h"
#include "policy/schedule.h"
#include "units/quantity.h"

namespace wattle::policy {

// A run that pauses while windows are closed and while the day's budget is spent.
struct PausingRun {
  absl::Time start;
  absl::Duration work;  // Wall.
  Watts draw{};         // Draw in each second of work.
  Joules spent{};       // Energy of the budget already spent on the day of `start`.
};
// When the run ends. InfiniteFuture: never.
absl::Time FinishUnder(const OpenTimes& windows, const std::optional<BudgetLimit>& budget,
                       PausingRun run);

struct WorkPiece {
  absl::Time begin;
  absl::Time end;  // after `begin`

  bool operator==(const WorkPiece& other) const = default;
};

// The pieces of the run in order of time; the last one ends at FinishUnder. With a budget no piece
// spans two of its days. Empty: the run never ends, or has no work.
std::vector<WorkPiece> PiecesUnder(const OpenTimes& windows,
                                   const std::optional<BudgetLimit>& budget, const PausingRun& run);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_WORK_PIECES_H_
