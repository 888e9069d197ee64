// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/pack.h"

#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::timetable {
namespace {

constexpr Millijoules kWattHour = 3'600'000;

// 10 Wh, half full, idle 1 W, no sun for 10 hours.
PackSpec Dark() {
  return {.capacity = 10 * kWattHour,
          .charge = 5 * kWattHour,
          .idle = 1000,
          .harvest = {std::vector<Milliwatts>(10, 0)}};
}

std::vector<Millijoules> Medians(const Pack& pack) {
  std::vector<Millijoules> charges;
  for (const ChargeQuantiles& hour : pack.ChargeByHour()) {
    charges.push_back(hour.median);
  }
  return charges;
}

TEST(PackTest, IdleDrawCountsInEverySecond) {
  Pack pack(Dark());
  // 5 Wh feed 1 W of idle and 4 W of work for one hour, and not a second longer.
  EXPECT_TRUE(pack.Fits({.begin = 0, .draw = {.length = kHour, .power = 4000}}));
  EXPECT_FALSE(pack.Fits({.begin = 0, .draw = {.length = kHour + 1, .power = 4000}}));
  // After an hour of idle 4 Wh are left.
  EXPECT_TRUE(pack.Fits({.begin = kHour, .draw = {.length = kHour, .power = 3000}}));
  EXPECT_FALSE(pack.Fits({.begin = kHour, .draw = {.length = kHour, .power = 3001}}));
}

TEST(PackTest, AFullPackTakesNoMoreAndAnEmptyOneGivesNoMore) {
  PackSpec spec = Dark();
  spec.harvest = {{4000, 4000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3000}};
  // 5 + 3, full at 10, then 10 hours of 1 W, an hour empty, and 2 W.
  const std::vector<Millijoules> hours = Medians(Pack(spec));
  ASSERT_EQ(hours.size(), 15u);
  EXPECT_EQ(hours[1], 8 * kWattHour);
  EXPECT_EQ(hours[2], 10 * kWattHour);
  EXPECT_EQ(hours[3], 9 * kWattHour);
  EXPECT_EQ(hours[11], 1 * kWattHour);
  EXPECT_EQ(hours[12], 0);
  EXPECT_EQ(hours[13], 0);
  EXPECT_EQ(hours[14], 2 * kWattHour);
}

TEST(PackTest, TheSunCountsOnce) {
  PackSpec spec = Dark();
  spec.charge = 0;
  spec.harvest = {{3000, 3000, 3000, 3000}};
  Pack pack(spec);
  // 2 W remain for work.
  EXPECT_TRUE(pack.Fits({.begin = 0, .draw = {.length = 2 * kHour, .power = 2000}}));
  EXPECT_FALSE(pack.Fits({.begin = 0, .draw = {.length = 2 * kHour, .power = 2001}}));
}

TEST(PackTest, ThePresentHourCountsFromNow) {
  PackSpec spec = Dark();
  spec.now = 1800;
  spec.harvest = {{3000, 0}};
  EXPECT_THAT(Medians(Pack(spec)),
              testing::ElementsAre(5 * kWattHour, 6 * kWattHour, 5 * kWattHour));
}

TEST(PackTest, WhatIsDrawnAtTheStartIsThereAtTheStart) {
  PackSpec spec = Dark();
  spec.charge = kWattHour;
  spec.harvest = {{9000}};
  const Pack pack(spec);
  EXPECT_TRUE(pack.Fits({.begin = 0, .draw = {.length = 60, .power = 0, .at_start = kWattHour}}));
  EXPECT_FALSE(
      pack.Fits({.begin = 0, .draw = {.length = 60, .power = 0, .at_start = kWattHour + 1}}));
}

TEST(PackTest, TheFloorBindsOnlyWhileWorkRuns) {
  PackSpec spec = Dark();
  // From 3 h on the pack must keep 4 Wh; before that, nothing.
  spec.floor = {{.from = 3 * kHour, .charge = 4 * kWattHour}};
  Pack pack(spec);
  EXPECT_TRUE(pack.Fits({.begin = 0, .draw = {.length = 3 * kHour}}));
  EXPECT_FALSE(pack.Fits({.begin = 0, .draw = {.length = 3 * kHour + 1}}));
  // Idle draw leaves 1 Wh at 4 h. A run that has ended by then breaks no floor.
  pack.Add({.job = 1, .begin = 0, .draw = {.length = kHour, .power = 2000}});
  EXPECT_EQ(pack.broken_paths(), 0);
}

TEST(PackTest, TheGuardOfARunHoldsBackAboveTheFloor) {
  PackSpec spec = Dark();
  spec.floor = {{.from = 0, .charge = kWattHour}};
  Pack pack(spec);
  Draw draw{.length = kHour, .power = 2000, .held_back = kWattHour};  // 5 - 3 = 2 Wh at its end.
  EXPECT_TRUE(pack.Fits({.begin = 0, .draw = draw}));
  draw.held_back += 1;
  EXPECT_FALSE(pack.Fits({.begin = 0, .draw = draw}));
  // Two guards hold back their own each.
  pack.Add({.job = 1, .begin = 0, .draw = {.length = kHour, .power = 0, .held_back = kWattHour}});
  EXPECT_TRUE(
      pack.Fits({.begin = 0, .draw = {.length = kHour, .power = 1000, .held_back = kWattHour}}));
  EXPECT_FALSE(
      pack.Fits({.begin = 0, .draw = {.length = kHour, .power = 1001, .held_back = kWattHour}}));
}

TEST(PackTest, NewWorkMayNotTakeTheChargeOfReservedWork) {
  Pack pack(Dark());
  // 5 Wh - 4 h of idle = 1 Wh, which the reserved run of 4 h to 4 h 30 needs.
  pack.Add({.job = 1, .begin = 4 * kHour, .draw = {.length = kHour / 2, .power = 1000}});
  EXPECT_EQ(pack.broken_paths(), 0);
  const Draw small{.length = 60, .power = 1};
  EXPECT_FALSE(pack.Fits({.begin = 0, .draw = small}));
  // After the reserved run nothing is left.
  EXPECT_EQ(pack.EarliestFit(small, 0), std::nullopt);
  pack.Remove(1);
  EXPECT_EQ(pack.EarliestFit(small, 0), 0);
}

TEST(PackTest, OneDarkPathInALotIsTheRiskThatIsTaken) {
  PackSpec spec = Dark();
  spec.charge = kWattHour;
  spec.harvest.assign(64, std::vector<Milliwatts>(4, 3000));
  spec.harvest[17].assign(4, 0);
  const Demand demand{.begin = 0, .draw = {.length = 2 * kHour, .power = 2000}};
  EXPECT_FALSE(Pack(spec).Fits(demand));
  spec.broken_paths_max = 1;
  EXPECT_TRUE(Pack(spec).Fits(demand));
  spec.harvest[40].assign(4, 0);
  EXPECT_FALSE(Pack(spec).Fits(demand));
}

// The paths that two runs break add up, unless they are the same paths.
TEST(PackTest, TheRiskIsThatOfAllWorkTogether) {
  PackSpec spec = Dark();
  spec.charge = kWattHour;
  spec.harvest.assign(50, std::vector<Milliwatts>(4, 2000));
  spec.harvest[3] = {0, 9000, 9000, 9000};
  spec.harvest[4] = {2000, 0, 0, 0};
  spec.broken_paths_max = 1;
  const Demand first{.job = 1, .begin = 0, .draw = {.length = kHour, .power = 1000}};
  const Demand second{.job = 2, .begin = 2 * kHour, .draw = {.length = kHour, .power = 1000}};
  Pack pack(spec);
  EXPECT_TRUE(pack.Fits(second));
  ASSERT_TRUE(pack.Fits(first));
  pack.Add(first);
  EXPECT_EQ(pack.broken_paths(), 1);
  EXPECT_FALSE(pack.Fits(second));
}

// The running attempt's reserve is broken in each path. Only work that makes it worse, or breaks
// the floor itself, is refused.
TEST(PackTest, ABrokenRunDoesNotRefuseLaterWorkForEver) {
  PackSpec spec = Dark();
  spec.harvest = {{0, 8000, 8000, 8000}, {0, 8000, 8000, 0}};
  Pack pack(spec);
  pack.Add({.job = 1, .begin = 0, .draw = {.length = kHour, .power = 6000}});
  ASSERT_EQ(pack.broken_paths(), 2);
  EXPECT_FALSE(pack.Fits({.begin = 0, .draw = {.length = kHour, .power = 1}}));
  EXPECT_TRUE(pack.Fits({.begin = 2 * kHour, .draw = {.length = kHour, .power = 7000}}));
  EXPECT_TRUE(pack.Fits({.begin = 3 * kHour, .draw = {.length = kHour, .power = 5000}}));
  EXPECT_FALSE(pack.Fits({.begin = 3 * kHour, .draw = {.length = kHour, .power = 9001}}));
}

// A later run that keeps the floor is protected, although an earlier one breaks it in that path.
TEST(PackTest, BesideABrokenRunAnotherOneIsStillProtected) {
  PackSpec spec = Dark();
  spec.harvest = {{0, 6000, 1000, 1000}};
  Pack pack(spec);
  pack.Add({.job = 1, .begin = 0, .draw = {.length = kHour, .power = 6000}});
  pack.Add({.job = 2, .begin = 3 * kHour, .draw = {.length = kHour, .power = 5000}});
  ASSERT_EQ(pack.broken_paths(), 1);
  // 5 Wh of sun in the second hour, all of which job 2 needs.
  EXPECT_FALSE(pack.Fits({.begin = 2 * kHour, .draw = {.length = 60, .power = 1}}));
  pack.Remove(2);
  EXPECT_TRUE(pack.Fits({.begin = 2 * kHour, .draw = {.length = 60, .power = 1}}));
}

TEST(PackTest, NothingFitsThatEndsBehindTheHorizon) {
  PackSpec spec = Dark();
  Pack pack(spec);
  EXPECT_EQ(pack.horizon(), 10 * kHour);
  const Draw draw{.length = 2 * kHour};
  EXPECT_TRUE(pack.Fits({.begin = 3 * kHour, .draw = draw}));
  EXPECT_FALSE(pack.Fits({.begin = 8 * kHour + 1, .draw = draw}));
  EXPECT_EQ(pack.EarliestFit(draw, 8 * kHour + 1), std::nullopt);
  // A running attempt that lasts longer draws until the horizon.
  pack.Add({.job = 1, .begin = 0, .draw = {.length = 100 * kHour, .power = 1000}});
  EXPECT_EQ(pack.ChargeByHour().back().at, 10 * kHour);
}

// Half of the paths full, half of them empty: the median is one of the two, and their mean is none.
TEST(PackTest, AFullPackMayHoldWhatThePresentOneDoesNot) {
  PackSpec spec = Dark();
  spec.now = 1800;
  spec.harvest = {{0, 0, 4000, 0, 0}};
  Pack pack(spec);
  // 10 Wh: 2 h of 5 W with idle, or an hour longer with the sun.
  const Draw two_hours{.length = 2 * kHour, .power = 4000};
  const Draw three_hours{.length = 3 * kHour, .power = 3666};
  EXPECT_EQ(pack.EarliestFit(two_hours, 1800), std::nullopt);
  EXPECT_TRUE(pack.FitsWhenFull(two_hours, 1800));
  EXPECT_FALSE(pack.FitsWhenFull(three_hours, 3 * kHour));
  EXPECT_TRUE(pack.FitsWhenFull(three_hours, 2 * kHour));
  EXPECT_FALSE(pack.FitsWhenFull(two_hours, 4 * kHour)) << "it would end behind the horizon";
  pack.Add({.job = 1, .begin = 2 * kHour, .draw = two_hours});
  EXPECT_TRUE(pack.FitsWhenFull(three_hours, 2 * kHour)) << "no other work counts";
}

TEST(PackTest, AQuantileIsTheChargeOfAPath) {
  PackSpec spec = Dark();
  spec.idle = 0;
  spec.harvest.assign(20, {0});
  for (size_t path = 0; path < spec.harvest.size(); ++path) {
    spec.harvest[path] = {static_cast<Milliwatts>(path * path * 10)};
  }
  const ChargeQuantiles hour = Pack(spec).ChargeByHour().back();
  EXPECT_EQ(hour.low, spec.charge + 1 * 10 * kHour);      // The 2nd of 20.
  EXPECT_EQ(hour.median, spec.charge + 81 * 10 * kHour);  // The 10th; the mean of all is 123.5.
  EXPECT_EQ(hour.high, spec.charge + 289 * 10 * kHour);   // The 18th.
}

// A run that takes 4 Wh by its mean, 10 % of it one standard deviation, where 4.5 Wh are to spare:
// a tenth of a normal variable is above 1.28 deviations, so about 7 of the 64 paths break.
TEST(PackTest, WhatWorkDrawsIsARiskToo) {
  PackSpec spec = Dark();
  spec.harvest.assign(64, std::vector<Milliwatts>(10, 0));
  spec.charge = 4513 * kHour;
  spec.idle = 0;
  const Demand sure{.begin = 0, .draw = {.length = kHour, .power = 4000}};
  const Demand unsure{.begin = 0, .draw = {.length = kHour, .power = 4000, .deviation = 400}};
  EXPECT_TRUE(Pack(spec).Fits(sure));
  spec.broken_paths_max = 4;
  EXPECT_FALSE(Pack(spec).Fits(unsure));
  spec.broken_paths_max = 8;
  EXPECT_TRUE(Pack(spec).Fits(unsure));
  Pack pack(spec);
  pack.Add(unsure);
  EXPECT_NEAR(pack.broken_paths(), 6, 1);
  // The middle path draws about the mean.
  EXPECT_NEAR(static_cast<double>(pack.ChargeByHour()[1].median),
              static_cast<double>(spec.charge - 4000 * kHour), 10.0 * kHour);
}

// Three days of sun, and work that draws a different quantile in each path.
PackSpec ThreeDays() {
  PackSpec spec = Dark();
  spec.harvest = {{0, 0, 1000, 1000, 1000, 1000, 0, 0, 0, 0},
                  {0, 0, 3000, 4000, 3000, 2000, 0, 0, 0, 0},
                  {0, 2000, 6000, 6000, 6000, 6000, 0, 0, 0, 0}};
  return spec;
}

TEST(PackTest, TheMedianAroundARunIsThatOfThePackWithIt) {
  Pack pack(ThreeDays());
  pack.Add({.job = 1, .begin = kHour, .draw = {.length = kHour / 2, .power = 500}});
  const Demand run{
      .job = 2, .begin = 3 * kHour, .draw = {.length = 2 * kHour, .power = 2500, .deviation = 300}};
  Pack with = pack;
  with.Add(run);
  for (const Seconds until : {5 * kHour, 8 * kHour}) {
    const ChargeOfRun charge = pack.MedianCharge(run, until);
    EXPECT_EQ(charge.begin, Medians(with)[3]);
    EXPECT_EQ(charge.end, Medians(with)[static_cast<size_t>(until / kHour)]);
  }
  // Within an hour: of the brightest path but one, an hour's half of 3 W of sun, 1 W of idle.
  const Demand at_half{.job = 2, .begin = 2 * kHour + kHour / 2, .draw = {.length = kHour}};
  EXPECT_EQ(pack.MedianCharge(at_half, 4 * kHour).begin, Medians(pack)[2] + kWattHour);
}

TEST(PackTest, TheFirstFitInOnePathIsThatOfItsSunAlone) {
  const PackSpec spec = ThreeDays();
  const Pack pack(spec);
  std::optional<Seconds> before = spec.now;
  for (size_t path = 3; path-- > 0;) {
    PackSpec alone = spec;
    alone.harvest = {spec.harvest[path]};
    for (const Milliwatts power : {1000, 2500, 3500}) {
      const Draw draw{.length = 2 * kHour, .power = power};
      EXPECT_EQ(pack.EarliestFitIn(50 * path, draw, 0), Pack(alone).EarliestFit(draw, 0))
          << path << " at " << power;
    }
    const std::optional<Seconds> first =
        pack.EarliestFitIn(50 * path, {.length = 2 * kHour, .power = 2500}, 0);
    EXPECT_TRUE(!first.has_value() || *first >= *before) << path;
    before = first.has_value() ? first : before;
  }
}

}  // namespace
}  // namespace wattle::timetable
