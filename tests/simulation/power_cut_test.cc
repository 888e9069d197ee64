// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards of a scenario that are without power for a time, or for drawn times.
#include <algorithm>
#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/scenario/drawn_boards.h"
#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

TEST(PowerCutTest, ABoardWithoutPowerDrawsNothingAndItsJobGoesOn) {
  Recording whole;
  Recording cut;
  const RunFigures without = RecordedRun(OneLongJob(""), 1, whole);
  const RunFigures with =
      RecordedRun(OneLongJob("power_cuts: [{group: mast, from: 2h, to: 8h}]\n"), 1, cut);
  EXPECT_EQ(without[Figure::kDone], 1);
  EXPECT_EQ(with[Figure::kDone], 1);
  ASSERT_EQ(whole.boards[0].attempts.size(), 1);
  ASSERT_EQ(cut.boards[0].attempts.size(), 1) << "the attempt goes on from its checkpoint";
  const double later =
      cut.boards[0].attempts[0].end_seconds - whole.boards[0].attempts[0].end_seconds;
  EXPECT_GE(later, 6 * kSecondsOfHour);
  EXPECT_LE(later, 7 * kSecondsOfHour) << "the rest is what was worked since a checkpoint";
  // Six hours of idle draw are spared. What is worked again takes more.
  const double again_watt_hours = with[Figure::kWorkWattHours] - without[Figure::kWorkWattHours];
  EXPECT_GE(again_watt_hours, 0);
  EXPECT_NEAR(with[Figure::kFleetWattHours], without[Figure::kFleetWattHours] - 6 * 3, 10);
  ASSERT_EQ(cut.boards[0].times_off.size(), 1);
  EXPECT_EQ(cut.boards[0].times_off[0].begin_seconds, 2 * kSecondsOfHour);
}

TEST(PowerCutTest, CutsThatOverlapAreOne) {
  const RunFigures one = FiguresOf(OneLongJob("power_cuts: [{group: mast, from: 20h, to: 30h}]\n"));
  const RunFigures two = FiguresOf(OneLongJob(
      "power_cuts: [{group: mast, from: 20h, to: 26h}, {group: mast, from: 22h, to: 30h}]\n"));
  EXPECT_NEAR(two[Figure::kFleetWattHours], one[Figure::kFleetWattHours], 0.01);
  EXPECT_NEAR(two[Figure::kIdleHours], one[Figure::kIdleHours], 0.01);
}

// A board without a link fetches nothing, so its job begins once the second cut is over.
TEST(PowerCutTest, CutsOfALinkThatOverlapAreOneToo) {
  const RunFigures one = FiguresOf(OneLongJob("links: [{group: mast, from: 0h, to: 9h}]\n"));
  const RunFigures two = FiguresOf(
      OneLongJob("links: [{group: mast, from: 0h, to: 6h}, {group: mast, from: 2h, to: 9h}]\n"));
  EXPECT_GT(one[Figure::kWaitMeanHours], 8.9);
  EXPECT_NEAR(two[Figure::kWaitMeanHours], one[Figure::kWaitMeanHours], 0.1);
}

TEST(PowerCutTest, DrawnCutsAreOfEachBoardAndTheSameForASeed) {
  const std::string text = R"(duration: 10d
fleet:
  - {name: mast, class: jetson-orin-nano, count: 2}
  - {name: eye, class: raspberry-pi-5}
data: {questions: {examples: 4000}}
jobs:
  - {name: tune, every: 6h, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
power_cuts:
  - {group: mast, from: 1d, per_day: 12, for: 10m}
)";
  const auto scenario = Parse(text);
  ASSERT_THAT(scenario, IsOk());
  const auto begins = [&](const BoardGroup& group, int number, uint64_t seed) {
    std::vector<double> seconds;
    for (const TimeOff& time : TimesOff(*scenario, group, number, seed)) {
      EXPECT_EQ(time.end_seconds, time.begin_seconds + 600);
      seconds.push_back(time.begin_seconds);
    }
    EXPECT_TRUE(std::is_sorted(seconds.begin(), seconds.end()));
    return seconds;
  };
  const BoardGroup& mast = scenario->fleet[0];
  const std::vector<double> first = begins(mast, 0, 1);
  EXPECT_NEAR(static_cast<double>(first.size()), 12 * 9, 40);
  EXPECT_GE(first.front(), kSecondsOfDay);
  EXPECT_EQ(begins(mast, 0, 1), first);
  EXPECT_NE(begins(mast, 1, 1), first);
  EXPECT_NE(begins(mast, 0, 2), first);
  EXPECT_TRUE(begins(scenario->fleet[1], 2, 1).empty());
  for (const char* const policy : {"ours", "fastest"}) {
    EXPECT_GE(FiguresOf(text, policy)[Figure::kDone], 35) << policy;
  }
}

}  // namespace
}  // namespace wattle::sim
