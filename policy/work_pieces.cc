// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/work_pieces.h"

#include <algorithm>

namespace wattle::policy {
namespace {

// A run of more pieces than this would take years.
constexpr int kPiecesMax = 2000;

// Calls `piece(begin, end)` for each stretch in which the run works, also for an empty one. Returns
// the end of the run; InfiniteFuture: never.
template <typename Piece>
absl::Time Walk(const OpenTimes& windows, const std::optional<BudgetLimit>& budget, PausingRun run,
                const Piece& piece) {
  absl::Time at = run.start;
  absl::Duration left = run.work;
  for (int pieces = 0; pieces < kPiecesMax; ++pieces) {
    const absl::Time opens = windows.OpensAt(at);
    if (opens == absl::InfiniteFuture()) {
      return opens;
    }
    if (budget && DayOf(*budget, opens) != DayOf(*budget, at)) {
      run.spent = Joules(0);
    }
    at = opens;
    absl::Time until = windows.ClosesAt(at);
    absl::Time next = until;
    if (budget) {
      const absl::Time day_ends = DayEnds(*budget, at);
      const Joules affordable = std::max(budget->per_day - run.spent, Joules(0));
      const absl::Time broke = run.draw > Watts(0)
                                   ? at + absl::Seconds(affordable.value() / run.draw.value())
                                   : absl::InfiniteFuture();
      next = broke < std::min(until, day_ends) ? day_ends : std::min(until, day_ends);
      until = std::min({until, day_ends, broke});
      run.spent += run.draw * (until - at);
      if (next == day_ends) {
        run.spent = Joules(0);
      }
    }
    if (at + left <= until) {
      piece(at, at + left);
      return at + left;
    }
    piece(at, until);
    left -= until - at;
    at = next;
  }
  return absl::InfiniteFuture();
}

}  // namespace

absl::Time FinishUnder(const OpenTimes& windows, const std::optional<BudgetLimit>& budget,
                       PausingRun run) {
  if (windows.always() && !budget) {
    return run.start + run.work;
  }
  return Walk(windows, budget, run, [](absl::Time, absl::Time) {});
}

std::vector<WorkPiece> PiecesUnder(const OpenTimes& windows,
                                   const std::optional<BudgetLimit>& budget,
                                   const PausingRun& run) {
  std::vector<WorkPiece> pieces;
  const absl::Time end = Walk(windows, budget, run, [&](absl::Time from, absl::Time to) {
    if (to > from) {
      pieces.push_back({from, to});
    }
  });
  if (end == absl::InfiniteFuture()) {
    pieces.clear();
  }
  return pieces;
}

}  // namespace wattle::policy
