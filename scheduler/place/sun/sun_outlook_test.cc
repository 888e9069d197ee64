// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/sun/sun_outlook.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

using timetable::SunOutlook;

constexpr int64_t kMidnight = 527'760;  // Hours since 1970: 2030-03-17 00:00 UTC.

// 20 W from 6 to 18 o'clock.
bool IsDay(int64_t hour) {
  return hour % 24 >= 6 && hour % 24 < 18;
}

absl::Time HourAt(int64_t hour) {
  return absl::UnixEpoch() + absl::Hours(hour);
}

// A gauge that has seen many usual days, and since midnight `share` of their sun, until `hour`.
v1::Device GaugeAfter(int64_t hour, double share) {
  v1::Device gauge;
  v1::EnergyLedger& ledger = *gauge.mutable_ledger();
  for (int64_t of_day = 0; of_day < 24; ++of_day) {
    const double expected = IsDay(of_day) ? 20 : 0;
    ledger.add_harvest_power_watts_by_hour(of_day < hour ? expected * (1 + share) / 2 : expected);
  }
  ledger.set_at_unix_seconds(absl::ToDoubleSeconds(HourAt(kMidnight + hour) - absl::UnixEpoch()));
  v1::RecentHarvest& recent = *gauge.mutable_heartbeat()->mutable_recent_harvest();
  recent.set_last_hour(kMidnight + hour - 1);
  for (int64_t before = hour - 24; before < hour; ++before) {
    const double expected = IsDay(before + 24) ? 20 : 0;
    recent.add_power_watts(static_cast<float>(before < 0 ? expected : expected * share));
  }
  return gauge;
}

SunOutlook SeenBy(const v1::Device& gauge, int64_t hour) {
  DeviceView view;
  view.device = gauge;
  return SunOutlookOf(view, std::nullopt, HourAt(hour));
}

TEST(SunOutlookTest, ThisMorningCountsAgainstWhatWasExpectedBeforeIt) {
  for (const double share : {0.0, 0.3, 1.0, 1.5}) {
    const SunOutlook outlook = SeenBy(GaugeAfter(10, share), kMidnight + 10);
    ASSERT_TRUE(outlook.seen.has_value()) << "share " << share;
    EXPECT_NEAR(static_cast<double>(*outlook.seen), 1000 * share, 2) << "share " << share;
    EXPECT_EQ(outlook.hours_until_night, 8U);
    // The hours that were seen count again tomorrow, as the days before were.
    EXPECT_NEAR(static_cast<double>(outlook.expected[22]), 20000, 2) << "share " << share;
    EXPECT_EQ(outlook.expected.size(), 72U);
  }
}

TEST(SunOutlookTest, OnlyTheLatestThreeHoursAreSeen) {
  v1::Device gauge = GaugeAfter(14, 1);
  gauge.mutable_ledger()->set_at_unix_seconds(1);  // The means are still those of the days before.
  v1::RecentHarvest& recent = *gauge.mutable_heartbeat()->mutable_recent_harvest();
  for (const int back : {1, 2, 3}) {
    recent.set_power_watts(24 - back, 5);
  }
  const SunOutlook outlook = SeenBy(gauge, kMidnight + 14);
  EXPECT_EQ(outlook.seen, 250);
}

TEST(SunOutlookTest, ANightTellsNothing) {
  for (const int64_t hour : {0, 3, 6, 20, 24}) {
    const SunOutlook outlook = SeenBy(GaugeAfter(hour, 1), kMidnight + hour);
    EXPECT_EQ(outlook.seen, std::nullopt) << "hour " << hour;
    EXPECT_EQ(outlook.hours_until_night, 0U) << "hour " << hour;
  }
}

TEST(SunOutlookTest, HoursBehindAFullPackAreNoDarkness) {
  v1::Device gauge = GaugeAfter(14, 1.5);
  v1::RecentHarvest& recent = *gauge.mutable_heartbeat()->mutable_recent_harvest();
  for (const int back : {1, 2, 3}) {
    recent.set_power_watts(24 - back, -1);
  }
  const SunOutlook outlook = SeenBy(gauge, kMidnight + 14);
  ASSERT_TRUE(outlook.seen.has_value());
  EXPECT_NEAR(static_cast<double>(*outlook.seen), 1500, 2);
}

TEST(SunOutlookTest, OldOrFutureOrAbsurdHoursCountAsNotSeen) {
  const v1::Device gauge = GaugeAfter(10, 0.3);
  for (const int64_t last_hour :
       {std::numeric_limits<int64_t>::min() + 24, std::numeric_limits<int64_t>::max(), int64_t{0},
        kMidnight - 30, kMidnight + 100}) {
    v1::Device other = gauge;
    other.mutable_heartbeat()->mutable_recent_harvest()->set_last_hour(last_hour);
    EXPECT_EQ(SeenBy(other, kMidnight + 10).seen, std::nullopt) << last_hour;
  }
  for (const float watts : {std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(), 1e9F, -3.0F}) {
    v1::Device other = gauge;
    for (float& power :
         *other.mutable_heartbeat()->mutable_recent_harvest()->mutable_power_watts()) {
      power = watts;
    }
    EXPECT_EQ(SeenBy(other, kMidnight + 10).seen, std::nullopt) << watts;
  }
}

// A plan at 10 o'clock must not use the sun of 11 o'clock, whatever a device claims.
TEST(SunOutlookTest, TheFutureIsNotSeen) {
  const SunOutlook outlook = SeenBy(GaugeAfter(10, 1), kMidnight + 10);
  v1::Device clairvoyant = GaugeAfter(10, 1);
  v1::RecentHarvest& recent = *clairvoyant.mutable_heartbeat()->mutable_recent_harvest();
  recent.set_last_hour(kMidnight + 15);
  recent.mutable_power_watts()->Clear();
  for (int64_t hour = -8; hour < 16; ++hour) {
    recent.add_power_watts(hour < 10 ? (IsDay(hour + 24) ? 20 : 0) : 1);
  }
  const SunOutlook same = SeenBy(clairvoyant, kMidnight + 10);
  EXPECT_EQ(same.seen, outlook.seen);
  EXPECT_EQ(same.expected, outlook.expected);
}

TEST(SunOutlookTest, AForecastCountsAsFarAsItIsTrusted) {
  DeviceView view;
  view.device = GaugeAfter(10, 1);
  view.sun_forecast = SunForecast{
      .name = "weather", .first_hour = kMidnight, .power = std::vector<int64_t>(36, 4000)};
  for (const int64_t trust : {0, 500, 900}) {
    view.sun_forecast->trust = trust;
    const SunOutlook outlook = SunOutlookOf(view, std::nullopt, HourAt(kMidnight + 10));
    EXPECT_NEAR(static_cast<double>(outlook.expected[0]), static_cast<double>(20000 - 16 * trust),
                2)
        << "trust " << trust;
    EXPECT_NEAR(static_cast<double>(outlook.expected[26]), 20000, 2) << "the forecast is over";
    EXPECT_NEAR(static_cast<double>(outlook.spread),
                std::sqrt(1000.0 * static_cast<double>(1000 - trust)), 1);
    // This morning was what the days before let expect, so the forecast was too low.
    EXPECT_NEAR(static_cast<double>(*outlook.seen),
                20000.0 / static_cast<double>(20 - 16 * trust / 1000), 400);
  }
}

v1::Place Equator() {
  v1::Place place;
  place.set_longitude_degrees(0);
  return place;
}

TEST(SunOutlookTest, NoHourIsBrighterThanAClearSkyAndNoNightHasSun) {
  DeviceView view;
  view.device = GaugeAfter(10, 1);
  // A gauge that takes the end of work for sun.
  view.device.mutable_ledger()->set_harvest_power_watts_by_hour(2, 15);
  const SunOutlook outlook = SunOutlookOf(view, Equator(), HourAt(kMidnight + 10));
  EXPECT_EQ(outlook.expected[16], 0);
  ASSERT_EQ(outlook.most.size(), 72U);
  EXPECT_EQ(outlook.most[16], 0);
  EXPECT_GE(outlook.most[2], outlook.expected[2]);
  for (const std::vector<timetable::Milliwatts>& path : timetable::HarvestPaths(outlook)) {
    for (size_t hour = 0; hour < path.size(); ++hour) {
      EXPECT_LE(path[hour], outlook.most[hour]) << "hour " << hour;
    }
  }
}

// A board that joined at ten o'clock of its first day has seen two hours.
TEST(SunOutlookTest, HoursNeverSeenAreNotDarkWhereThePlaceIsKnown) {
  DeviceView view;
  view.device = GaugeAfter(12, 1);
  for (int hour = 0; hour < 24; ++hour) {
    if (hour < 10 || hour >= 12) {
      view.device.mutable_ledger()->set_harvest_power_watts_by_hour(hour, -1);
    }
  }
  const SunOutlook dark = SunOutlookOf(view, std::nullopt, HourAt(kMidnight + 12));
  const SunOutlook known = SunOutlookOf(view, Equator(), HourAt(kMidnight + 12));
  EXPECT_EQ(dark.expected[1], 0);
  EXPECT_GT(known.expected[1], 15000);
  EXPECT_EQ(known.expected[8], 0);
  for (size_t hour = 0; hour < known.expected.size(); ++hour) {
    EXPECT_LE(known.expected[hour], known.most[hour]) << "hour " << hour;
  }
}

TEST(SunOutlookTest, PeopleReadByWhatTheSunIsExpected) {
  DeviceView view;
  view.device = GaugeAfter(3, 1);
  const auto told = [&view](const std::optional<v1::Place>& place, int64_t hour) {
    return DescribeSun(view, place, HourAt(kMidnight + hour));
  };
  EXPECT_EQ(told(std::nullopt, 3), "its own days before");
  view.device = GaugeAfter(10, 0.3);
  EXPECT_EQ(told(std::nullopt, 10), "its own days before; this day brought 30 % of that so far");
  view.sun_forecast = SunForecast{.name = "weather",
                                  .first_hour = kMidnight,
                                  .power = std::vector<int64_t>(36, 20000),
                                  .trust = 600};
  EXPECT_EQ(told(Equator(), 10),
            "its own days before; forecast weather counts 60 %; this day brought 30 % of that so "
            "far; at most a clear sky");
}

}  // namespace
}  // namespace wattle::scheduler
