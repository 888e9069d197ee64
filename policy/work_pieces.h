// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a run works that pauses while windows are closed and while the day's budget is spent. What
// such a run draws, it draws in these pieces alone. Pure; thread-safe.
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
  Watts draw{};         // In each second of work.
  Joules spent{};       // Of the budget, in the day of `start`.
};
// When the run ends. InfiniteFuture: never.
absl::Time FinishUnder(const OpenTimes& windows, const std::optional<BudgetLimit>& budget,
                       PausingRun run);

struct WorkPiece {
  absl::Time begin;
  absl::Time end;  // after `begin`

  bool operator==(const WorkPiece& other) const = default;
};

// The pieces of the run in order of time; the last one ends as FinishUnder says. With a budget no
// piece lies in two of its days. Empty: the run never ends, or has no work.
std::vector<WorkPiece> PiecesUnder(const OpenTimes& windows,
                                   const std::optional<BudgetLimit>& budget, const PausingRun& run);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_WORK_PIECES_H_
