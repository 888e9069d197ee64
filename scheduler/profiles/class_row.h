// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Computes the row of a class from the rows of its boards. A class's row predicts for a board that
// has none of its own, and boards differ by more than the runs of one board do. Each board
// therefore counts once, in a median over the boards: a board that reports arbitrary numbers moves
// the median by one place at most. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_CLASS_ROW_H_
#define WATTLE_SCHEDULER_PROFILES_CLASS_ROW_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// With at least this many boards a single one cannot move the median beyond the others.
inline constexpr size_t kBoardsWithAMiddle = 3;

// Whether runs of the device's row are runs of the class's row: of one workload, unit and mode.
[[nodiscard]] bool IsOfClassRow(const v1::ProfileRow& of_device, const v1::ProfileRow& of_class);

// The measured rows of boards whose runs are runs of the class's row, without those of one device;
// sorted by key. The pointers hold until the table changes.
[[nodiscard]] std::vector<const v1::ProfileRow*> RowsOfBoards(const ProfileTable& table,
                                                              const v1::ProfileRow& of_class,
                                                              absl::string_view without_device);

// The class's row with the numbers of these boards. For the largest watts, degrees and bytes of
// three boards or more, the second-largest board's value. REQUIRES: there is a board.
[[nodiscard]] v1::ProfileRow WithNumbersOf(absl::Span<const v1::ProfileRow* const> boards,
                                           v1::ProfileRow of_class);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_CLASS_ROW_H_
