// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/battery/clear_sky.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

v1::Place PlaceAt(double latitude, double longitude) {
  v1::Place place;
  place.set_latitude_degrees(latitude);
  place.set_longitude_degrees(longitude);
  return place;
}

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  return time;
}

int64_t HourOf(const std::string& text) {
  return absl::ToInt64Hours(At(text) - absl::UnixEpoch());
}

double DegreesUp(const v1::Place& place, const std::string& at) {
  return 90 - std::acos(CosineOfZenith(place, At(at))) * 180 / 3.14159265358979;
}

// The worked example of Reda and Andreas, "Solar position algorithm for solar radiation
// applications", NREL/TP-560-34302 (2003), table A5.1: a zenith of 50.11162 degrees with
// refraction, which lifts the sun by 0.0203 degrees there.
TEST(ClearSkyTest, AgreesWithTheExampleOfTheSolarPositionAlgorithm) {
  EXPECT_NEAR(DegreesUp(PlaceAt(39.742476, -105.1786), "2003-10-17T12:30:30-07:00"),
              90 - 50.11162 - 0.0203, 0.3);
}

TEST(ClearSkyTest, AtTheSolsticesNoonIsAsHighAsTheTropicsSay) {
  EXPECT_NEAR(DegreesUp(PlaceAt(23.44, 0), "2026-06-21T12:02:00Z"), 90, 0.5);
  EXPECT_NEAR(DegreesUp(PlaceAt(45, 0), "2026-12-21T11:58:00Z"), 90 - 45 - 23.44, 0.3);
  EXPECT_NEAR(DegreesUp(PlaceAt(-45, 0), "2026-12-21T11:58:00Z"), 90 - 45 + 23.44, 0.3);
}

TEST(ClearSkyTest, NightIsDarkAndNoonIsBrightWhereverTheClockStands) {
  const v1::Place tokyo = PlaceAt(35.7, 139.7);
  EXPECT_TRUE(ClearHourOf(tokyo, HourOf("2026-03-20T15:00:00Z")).is_night());
  EXPECT_GT(ClearHourOf(tokyo, HourOf("2026-03-20T03:00:00Z")).level, 750);
  for (int hour = 0; hour < 24; ++hour) {
    const ClearHour clear = ClearHourOf(PlaceAt(75, 20), HourOf("2026-12-21T00:00:00Z") + hour);
    EXPECT_TRUE(clear.is_night()) << "hour " << hour;
    EXPECT_FALSE(ClearHourOf(PlaceAt(75, 20), HourOf("2026-06-21T00:00:00Z") + hour).is_night());
  }
}

TEST(ClearSkyTest, APanelThatFacesTheSunGetsMoreThanALevelOne) {
  for (int hour = 0; hour < 24 * 366; hour += 7) {
    const ClearHour clear = ClearHourOf(PlaceAt(52, 13), HourOf("2026-01-01T00:00:00Z") + hour);
    EXPECT_LE(clear.level, clear.facing) << "hour " << hour;
    EXPECT_LE(clear.facing, 1000) << "hour " << hour;
  }
}

}  // namespace
}  // namespace wattle::scheduler
