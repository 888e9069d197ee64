// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/timeline.h"

#include <algorithm>
#include <random>

#include "gtest/gtest.h"

namespace wattle::timetable {
namespace {

// Busy from 100 to 200 and from 260 to 300.
Timeline TwoIntervals() {
  Timeline timeline;
  timeline.Reserve({.begin = 260, .end = 300, .job = 2});
  timeline.Reserve({.begin = 100, .end = 200, .job = 1});
  return timeline;
}

TEST(TimelineTest, AnEmptyDeviceIsFreeAtOnce) {
  EXPECT_EQ(Timeline().EarliestGap(17, 1000), 17);
}

TEST(TimelineTest, AGapInFrontOfAReservationIsUsedToItsLastSecond) {
  const Timeline timeline = TwoIntervals();
  struct Case {
    Seconds after;
    Seconds length;
    Seconds begin;
  };
  for (const Case& expected :
       {Case{0, 100, 0}, Case{1, 99, 1}, Case{0, 101, 300}, Case{1, 100, 300}, Case{50, 60, 200},
        Case{199, 60, 200}, Case{200, 60, 200}, Case{201, 60, 300}, Case{270, 1, 300},
        Case{400, 5, 400}}) {
    EXPECT_EQ(timeline.EarliestGap(expected.after, expected.length), expected.begin)
        << "after " << expected.after << ", length " << expected.length;
  }
}

TEST(TimelineTest, IntervalsTouchAndStayInOrder) {
  Timeline timeline = TwoIntervals();
  EXPECT_TRUE(timeline.IsFree(200, 260));
  EXPECT_FALSE(timeline.IsFree(199, 260));
  EXPECT_FALSE(timeline.IsFree(200, 261));
  timeline.Reserve({.begin = 200, .end = 260, .job = 3});
  ASSERT_EQ(timeline.busy().size(), 3u);
  EXPECT_EQ(timeline.busy()[1].job, 3);
  EXPECT_EQ(timeline.EarliestGap(100, 1), 300);
}

TEST(TimelineTest, ReleaseTakesAllIntervalsOfTheJobAndNoOthers) {
  Timeline timeline = TwoIntervals();
  timeline.Reserve({.begin = 400, .end = 410, .job = 1});
  timeline.Release(1);
  timeline.Release(7);
  ASSERT_EQ(timeline.busy().size(), 1u);
  EXPECT_EQ(timeline.busy()[0].job, 2);
}

TEST(TimelineTest, TwoJobsAtOnceAreABrokenInvariant) {
  Timeline timeline = TwoIntervals();
  EXPECT_DEATH(timeline.Reserve({.begin = 199, .end = 201, .job = 3}), "one job at a time");
  EXPECT_DEATH(timeline.Reserve({.begin = 250, .end = 261, .job = 3}), "one job at a time");
}

// Second by second: the gap is free, and no earlier one of this length is.
TEST(TimelineTest, AgreesWithASearchOfEachSecond) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 dice(seed);
    constexpr Seconds kEnd = 120;
    bool busy[2 * kEnd] = {};
    Timeline timeline;
    for (int job = 0; job < 8; ++job) {
      const Seconds begin = dice() % kEnd;
      const Seconds end = begin + 1 + dice() % 20;
      if (timeline.IsFree(begin, end)) {
        timeline.Reserve({.begin = begin, .end = end, .job = job});
        std::fill(busy + begin, busy + end, true);
      }
    }
    for (int question = 0; question < 20; ++question) {
      const Seconds after = dice() % kEnd;
      const Seconds length = 1 + dice() % 30;
      Seconds begin = after;
      while (std::any_of(busy + begin, busy + begin + length, [](bool taken) { return taken; })) {
        ++begin;
      }
      ASSERT_EQ(timeline.EarliestGap(after, length), begin) << after << " " << length;
    }
  }
}

}  // namespace
}  // namespace wattle::timetable
