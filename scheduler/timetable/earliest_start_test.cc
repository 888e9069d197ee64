// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/earliest_start.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::timetable {
namespace {

constexpr Seconds kNever = 1'000'000'000;

// 10 Wh that must keep 2 Wh, dark for 4 hours and then 6 W for 20 hours; idle 1 W.
Pack MorningPack() {
  std::vector<Milliwatts> sun(24, 6000);
  std::fill(sun.begin(), sun.begin() + 4, 0);
  return Pack({.capacity = 36'000'000,
               .charge = 36'000'000,
               .idle = 1000,
               .floor = {{.from = 0, .charge = 7'200'000}},
               .harvest = {sun}});
}

TEST(EarliestStartTest, OnMainsTheGapAloneCounts) {
  Timeline timeline;
  timeline.Reserve({.begin = 0, .end = 500, .job = 1});
  const Draw draw{.length = 100, .power = 5000};
  EXPECT_EQ(EarliestStart(timeline, {}, draw, 10, kNever), 500);
  EXPECT_EQ(EarliestStart(timeline, {}, draw, 10, 600), 500);
  EXPECT_EQ(EarliestStart(timeline, {}, draw, 10, 599), std::nullopt);
}

// 2 h at 6 W above idle take 14 Wh from the pack at night, and 2 Wh by day. The pack holds 10 Wh.
// A run that begins at x takes 7 W until the sun rises at 4 h: it may do so for t seconds, with
// 10 Wh - (4 h - t) 1 W - 7 W t - (2 h - t) 1 W >= 2 Wh, so t <= 24 min.
TEST(EarliestStartTest, ARunThatThePackCannotFeedStartsWithTheSun) {
  const Pack pack = MorningPack();
  const Draw draw{.length = 2 * kHour, .power = 6000};
  EXPECT_EQ(EarliestStart(Timeline(), {.pack = &pack}, draw, 0, kNever), 4 * kHour - 900);
  EXPECT_EQ(EarliestStart(Timeline(), {.pack = &pack}, draw, 4 * kHour - 1440, kNever),
            4 * kHour - 1440);
  EXPECT_EQ(EarliestStart(Timeline(), {.pack = &pack}, draw, 4 * kHour - 1441, kNever),
            4 * kHour - 900);
}

TEST(EarliestStartTest, BothMustAgree) {
  const Pack pack = MorningPack();
  const Draw draw{.length = 2 * kHour, .power = 6000};
  Timeline timeline;
  timeline.Reserve({.begin = 5 * kHour, .end = 6 * kHour, .job = 1});
  // The pack allows 3 h 45 min, and the device has no two hours until 6 h.
  EXPECT_EQ(EarliestStart(timeline, {.pack = &pack}, draw, 0, kNever), 6 * kHour);
  EXPECT_EQ(EarliestStart(timeline, {.pack = &pack}, draw, 0, 8 * kHour - 1), std::nullopt);
  EXPECT_EQ(EarliestStart(timeline, {.pack = &pack}, draw, 22 * kHour + 1, kNever), std::nullopt);
}

// Two boards on one pack: energy reserved by one is not available to the other. With a pack for
// each board both would start at once.
TEST(EarliestStartTest, ASharedPackCountsOnceForItsBoards) {
  Pack pack = MorningPack();
  Timeline first;
  const Timeline second;
  const Draw draw{.length = kHour, .power = 5000};  // Takes 6 Wh at night.
  ASSERT_EQ(EarliestStart(first, {.pack = &pack}, draw, 0, kNever), 0);
  first.Reserve({.begin = 0, .end = kHour, .job = 1});
  pack.Add({.job = 1, .begin = 0, .draw = draw});
  // From 4 Wh at 1 h on the pack falls to 1 Wh at 4 h. In the sun the pack gains nothing during the
  // run, and 5 W without it: it holds 2 Wh at 4 h 12 min.
  EXPECT_EQ(EarliestStart(second, {.pack = &pack}, draw, 0, kNever), 4 * kHour + 900);
}

}  // namespace
}  // namespace wattle::timetable
