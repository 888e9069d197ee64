// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards of a scenario whose disk is sick, or whose runner crashes.
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

TEST(ScenarioFaultsTest, NoWorkRunsWhileADiskIsSick) {
  Recording whole;
  const RunFigures without = RecordedRun(OneLongJob(""), 1, whole);
  ASSERT_EQ(whole.boards[0].attempts.size(), 1);
  ASSERT_GT(whole.boards[0].attempts[0].end_seconds, 3 * kSecondsOfHour);
  for (const char* const kind : {"disk_full", "disk_read_only", "disk_error"}) {
    Recording sick;
    const RunFigures with = RecordedRun(
        OneLongJob(absl::StrCat("faults: [{group: mast, kind: ", kind, ", from: 2h, to: 8h}]\n")),
        1, sick);
    EXPECT_EQ(with[Figure::kDone], 1) << kind;
    EXPECT_GE(sick.boards[0].attempts.back().end_seconds,
              whole.boards[0].attempts[0].end_seconds + 5 * kSecondsOfHour)
        << kind;
    EXPECT_NEAR(with[Figure::kWorkWattHours], without[Figure::kWorkWattHours],
                0.2 * without[Figure::kWorkWattHours])
        << kind << ": what was worked again since a checkpoint";
  }
}

// The first fault ends while the second one continues.
TEST(ScenarioFaultsTest, OneFaultsEndHealsNoOther) {
  Recording one;
  RecordedRun(OneLongJob("faults: [{group: mast, kind: disk_full, from: 2h, to: 8h}]\n"), 1, one);
  Recording two;
  RecordedRun(OneLongJob("faults: [{group: mast, kind: disk_full, from: 2h, to: 4h},"
                         " {group: mast, kind: disk_error, from: 3h, to: 8h}]\n"),
              1, two);
  EXPECT_NEAR(two.boards[0].attempts.back().end_seconds, one.boards[0].attempts.back().end_seconds,
              kSecondsOfHour);
}

// The worker starts the runner again, from the latest checkpoint.
TEST(ScenarioFaultsTest, AJobGoesOnAfterACrash) {
  Recording whole;
  RecordedRun(OneLongJob(""), 1, whole);
  Recording crashed;
  const RunFigures with = RecordedRun(
      OneLongJob("faults: [{group: mast, kind: runner_crash, from: 2h}]\n"), 1, crashed);
  EXPECT_EQ(with[Figure::kDone], 1);
  const double end_seconds = whole.boards[0].attempts.back().end_seconds;
  EXPECT_GT(crashed.boards[0].attempts.back().end_seconds, end_seconds);
  EXPECT_LT(crashed.boards[0].attempts.back().end_seconds, end_seconds + kSecondsOfHour);
}

}  // namespace
}  // namespace wattle::sim
