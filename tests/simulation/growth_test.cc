// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Measures what a coordinator writes for a fleet in ten days, on its real journal.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

#include "coordinator/core/testing/spec_for_test.h"
#include "sim/options.h"
#include "tests/simulation/boards_for_test.h"

namespace wattle::sim {
namespace {

constexpr double kDaySeconds = 24.0 * 3600.0;
constexpr int kFleetBoards = 40;
constexpr int kWorkDays = 10;
constexpr double kGrowthBytesOfAMonthMax = 100e6;

// Forty boards that report as real ones do. Each runs a job of two hours a day.
Options FleetOptions() {
  Options options = ScriptedOptions(11);
  options.devices = kFleetBoards;
  options.sqlite_journal = true;
  options.step_seconds = 20.0;
  options.heartbeat_seconds = 900.0;  // The journal has none of them.
  options.sample_seconds = 120.0;
  options.day_seconds = kDaySeconds;
  options.tick_seconds = 60.0;
  options.plan_seconds = 300.0;
  options.retention_seconds = 7 * kDaySeconds;
  return options;
}

class GrowthTest : public ScriptedBoards {
 protected:
  GrowthTest() : ScriptedBoards(FleetOptions()) {}

  void Work(int day) {
    for (int board = 0; board < kFleetBoards; ++board) {
      Post(core::SubmitJob{core::Finetune(), absl::StrCat("day ", day, ", job ", board)});
    }
    RunUntil((day + 1) * kDaySeconds);
  }
  int64_t JournalBytes() {
    int64_t bytes = 0;
    for (const auto& [path, content] : fleet_.coordinator().disk().Copy()) {
      bytes += static_cast<int64_t>(content.size());
    }
    return bytes;
  }
};

TEST_F(GrowthTest, FortyBoardsWriteLessThanAHundredMegabytesAMonth) {
  std::vector<Machine> machines;
  for (int number = 1; number <= kFleetBoards; ++number) {
    machines.push_back(ScriptedMachine(absl::StrCat("board-", number), ScriptedWork(360, 20.0)));
  }
  fleet_.Start(machines);
  RunUntil(60);
  PushInputs();
  RunUntil(120);
  Work(0);
  const int64_t after_a_day = JournalBytes();
  for (int day = 1; day < kWorkDays; ++day) {
    Work(day);
  }
  ASSERT_EQ(fleet_.invariants().breach(), "");
  EXPECT_EQ(counts_.succeeded_jobs, kFleetBoards * kWorkDays);
  // ./dev bench field reads this line.
  absl::PrintF(
      "coordinator of %d boards: %d jobs, %d events; %d bytes after a day and %d after %d\n",
      kFleetBoards, counts_.succeeded_jobs, counts_.events, after_a_day, JournalBytes(), kWorkDays);
  EXPECT_LE(static_cast<double>(JournalBytes() - after_a_day) * 30 / (kWorkDays - 1),
            kGrowthBytesOfAMonthMax);
}

}  // namespace
}  // namespace wattle::sim
