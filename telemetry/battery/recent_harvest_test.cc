// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/recent_harvest.h"

#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

using testing::ElementsAre;

constexpr int64_t kHour = 527'760;

void AddHour(int64_t hour, double watts, RecentHarvest& harvest) {
  harvest.Add(hour, Watts(watts) * absl::Hours(1), absl::Hours(1));
}

TEST(RecentHarvestTest, TheHourThatGoesOnIsNotTold) {
  RecentHarvest harvest({});
  AddHour(kHour, 3, harvest);
  EXPECT_TRUE(harvest.over().power.empty());
  AddHour(kHour + 1, 4, harvest);
  EXPECT_THAT(harvest.over().power, ElementsAre(Watts(3)));
  EXPECT_EQ(harvest.over().last_hour, kHour);
}

TEST(RecentHarvestTest, AnHourBarelySeenOrMissedIsNotObserved) {
  RecentHarvest harvest({});
  harvest.Add(kHour, Joules(600), absl::Minutes(10));
  AddHour(kHour + 3, 5, harvest);
  AddHour(kHour + 4, 6, harvest);
  EXPECT_THAT(harvest.over().power,
              ElementsAre(std::nullopt, std::nullopt, std::nullopt, Watts(5)));
  EXPECT_EQ(harvest.over().last_hour, kHour + 3);
}

TEST(RecentHarvestTest, FourDaysAreKeptAndANightIsNotBelowNothing) {
  RecentHarvest harvest({});
  for (int hour = 0; hour <= 102; ++hour) {
    AddHour(kHour + hour, hour == 101 ? -0.2 : hour, harvest);
  }
  ASSERT_EQ(harvest.over().power.size(), 96U);
  EXPECT_EQ(harvest.over().power.front(), Watts(6));
  EXPECT_EQ(harvest.over().power.back(), Watts(0));
}

TEST(RecentHarvestTest, AnEarlierProcessGoesOn) {
  RecentHarvest harvest({.last_hour = kHour - 3, .power = {Watts(7)}});
  AddHour(kHour, 1, harvest);
  AddHour(kHour + 1, 2, harvest);
  EXPECT_THAT(harvest.over().power, ElementsAre(Watts(7), std::nullopt, std::nullopt, Watts(1)));
}

TEST(RecentHarvestTest, AClockThatWasAheadLeavesNothing) {
  RecentHarvest harvest({.last_hour = kHour + 100, .power = {Watts(7)}});
  AddHour(kHour, 1, harvest);
  AddHour(kHour - 1, 9, harvest);
  AddHour(kHour + 1, 2, harvest);
  EXPECT_THAT(harvest.over().power, ElementsAre(Watts(1)));
}

}  // namespace
}  // namespace wattle::telemetry
