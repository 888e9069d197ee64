// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/forecasts.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;

constexpr int64_t kHourNow = 277;  // 13:00 UTC, 46 minutes before Now().
constexpr double kHourSeconds = 3600;

bool IsDay(int64_t hour) {
  return hour % 24 >= 6 && hour % 24 < 18;
}

v1::HarvestForecast ForecastOf(int64_t first, std::vector<double> watts) {
  v1::HarvestForecast forecast;
  forecast.set_name("weather");
  forecast.set_first_hour_unix_seconds(kHourSeconds * static_cast<double>(first));
  forecast.mutable_power_watts()->Assign(watts.begin(), watts.end());
  return forecast;
}

// A board that has long seen 20 W by day, and `came` in the latest days.
class ForecastsTest : public testing::Test {
 protected:
  ForecastsTest() {
    v1::DeviceRecord& device = fleet_.state.devices.Mutable(DeviceId("device-1"));
    device.mutable_info()->set_battery_capacity_wh(100);
    for (int hour = 0; hour < 24; ++hour) {
      device.mutable_ledger()->add_harvest_power_watts_by_hour(IsDay(hour) ? 20 : 0);
    }
  }

  absl::Status Push(const v1::HarvestForecast& forecast, double seconds = 0) {
    const Instant now = Now(seconds);
    const Decision decision =
        Decide(fleet_.state, PushForecast{forecast, "ada"}, fleet_.observations, now);
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, now.monotonic);
    }
    fleet_.state = *ParseSnapshot(SnapshotBytes(fleet_.state));
    return decision.status;
  }
  // The board reports its latest hours until the one before `hour`.
  template <typename Came>
  void Tell(int64_t hour, const Came& came, int64_t hours = 24) {
    v1::RecentHarvest told;
    told.set_last_hour(hour - 1);
    for (int64_t before = hour - hours; before < hour; ++before) {
      told.add_power_watts(static_cast<float>(came(before)));
    }
    KeepHarvest(told, fleet_.observations.devices[DeviceId("device-1")].harvest);
  }
  // Trust in thousandths; 0: no forecast is trusted.
  int64_t TrustAt(double seconds) {
    const auto trusted =
        TrustedForecast(fleet_.state, fleet_.observations,
                        FindDevice(fleet_.state, DeviceId("device-1"))->info(), Now(seconds).wall);
    return trusted.has_value() ? trusted->trust : 0;
  }

  Fleet fleet_;
};

// Days of 20 W and of 5 W in turn, which no mean of days before foresees.
double InTurn(int64_t hour) {
  return !IsDay(hour) ? 0 : hour / 24 % 2 == 0 ? 20 : 5;
}

std::vector<double> Hours(int64_t first, int64_t count, double (*watts)(int64_t)) {
  std::vector<double> hours;
  for (int64_t hour = first; hour < first + count; ++hour) {
    hours.push_back(watts(hour));
  }
  return hours;
}

TEST_F(ForecastsTest, AForecastIsTrustedOnceItsHoursCameTrue) {
  Tell(kHourNow, InTurn);
  ASSERT_THAT(Push(ForecastOf(kHourNow, Hours(kHourNow, 96, InTurn))), IsOk());
  EXPECT_EQ(TrustAt(0), 0) << "no hour of it is over";
  Tell(kHourNow + 24, InTurn);
  Tell(kHourNow + 48, InTurn);
  EXPECT_EQ(TrustAt(48 * kHourSeconds), 900);
}

// The forecast is durable, and the board reports four days at the begin of a stream.
TEST_F(ForecastsTest, ACoordinatorThatStartsAnewTrustsAsTheOneBefore) {
  Tell(kHourNow, InTurn);
  const auto half = [](int64_t hour) { return InTurn(hour) * 1.6; };
  ASSERT_THAT(Push(ForecastOf(kHourNow, Hours(kHourNow, 192, half))), IsOk());
  for (int day = 1; day <= 4; ++day) {
    Tell(kHourNow + 24 * day, InTurn);
  }
  const int64_t before = TrustAt(96 * kHourSeconds);
  EXPECT_GT(before, 100);
  EXPECT_LT(before, 900);
  fleet_.observations.devices[DeviceId("device-1")].harvest.Clear();
  EXPECT_EQ(TrustAt(96 * kHourSeconds), 0);
  Tell(kHourNow + 96, InTurn, 96);
  EXPECT_EQ(TrustAt(96 * kHourSeconds), before);
  Tell(kHourNow + 96, InTurn);  // The next heartbeat, which reports a day.
  EXPECT_EQ(TrustAt(96 * kHourSeconds), before);
}

TEST_F(ForecastsTest, AForecastThatWasWrongForDaysLosesItsWeight) {
  const auto opposite = [](int64_t hour) { return IsDay(hour) ? 25 - InTurn(hour) : 0.0; };
  Tell(kHourNow, InTurn);
  ASSERT_THAT(Push(ForecastOf(kHourNow, Hours(kHourNow, 192, opposite))), IsOk());
  for (int day = 1; day <= 4; ++day) {
    Tell(kHourNow + 24 * day, InTurn);
  }
  EXPECT_LT(TrustAt(96 * kHourSeconds), 600);
  // If the days before predict everything, a forecast adds nothing.
  for (int day = 1; day <= 8; ++day) {
    Tell(kHourNow + 96 + 24 * day, [](int64_t hour) { return IsDay(hour) ? 20.0 : 0.0; });
  }
  EXPECT_EQ(TrustAt(150 * kHourSeconds), 0);
}

// Values for past hours are hindsight.
TEST_F(ForecastsTest, HoursThatAreOverCannotBeForecast) {
  for (int day = -3; day <= 0; ++day) {
    Tell(kHourNow + 24 * day, InTurn);
  }
  ASSERT_THAT(Push(ForecastOf(kHourNow - 96, Hours(kHourNow - 96, 192, InTurn))), IsOk());
  EXPECT_EQ(TrustAt(0), 0);
  EXPECT_EQ(fleet_.state.forecasts.at("weather").first_hour_unix_seconds(),
            kHourNow * kHourSeconds);
}

TEST_F(ForecastsTest, AForecastPushedAgainKeepsWhatItSaidBefore) {
  ASSERT_THAT(Push(ForecastOf(kHourNow, Hours(kHourNow, 48, InTurn))), IsOk());
  Tell(kHourNow, InTurn);
  Tell(kHourNow + 24, InTurn);
  // Now the forecast is better informed, about the past too.
  const auto lie = [](int64_t hour) { return IsDay(hour) ? 1.0 : 0.0; };
  ASSERT_THAT(Push(ForecastOf(kHourNow, Hours(kHourNow, 72, lie)), 24 * kHourSeconds), IsOk());
  const v1::HarvestForecast& stored = fleet_.state.forecasts.at("weather");
  EXPECT_EQ(stored.first_hour_unix_seconds(), kHourNow * kHourSeconds);
  ASSERT_EQ(stored.power_watts_size(), 72);
  for (int hour = 0; hour < 72; ++hour) {
    EXPECT_EQ(stored.power_watts(hour), hour < 24 ? InTurn(kHourNow + hour) : lie(kHourNow + hour))
        << "hour " << hour;
  }
  EXPECT_EQ(stored.pushed_by(), "ada");
  EXPECT_EQ(TrustAt(24 * kHourSeconds), 900);
}

TEST_F(ForecastsTest, ALongForecastAgainAndAgainStaysBounded) {
  for (int day = 0; day < 8; ++day) {
    const int64_t first = kHourNow + 24 * day;
    ASSERT_THAT(Push(ForecastOf(first, Hours(first, 384, InTurn)), 24 * day * kHourSeconds),
                IsOk());
    EXPECT_LE(fleet_.state.forecasts.at("weather").power_watts_size(), 384);
  }
}

TEST_F(ForecastsTest, BadForecastsAreRefusedWithTheHour) {
  const auto refused = [&](const v1::HarvestForecast& forecast, const std::string& text) {
    EXPECT_THAT(Push(forecast), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  };
  refused(ForecastOf(kHourNow - 3, {1, 1, 1}),
          "forecast.power_watts[2]: 1 W at 1970-01-12T12:00:00Z is the last hour and is over");
  // 13 o'clock to 23 o'clock.
  refused(ForecastOf(kHourNow, {18, 17, 16, 9, 4, 0, 0, 0, 0, 3}),
          "forecast.power_watts[9]: 3 W at 1970-01-12T22:00:00Z, when it is night for device orin");
  refused(ForecastOf(kHourNow, {0.018, 0.017}), "has seen 20 W; want watts, not kilowatts");
  refused(ForecastOf(kHourNow, {18000, 17000}), "would fill the 100 Wh of device orin in");
  fleet_.state.devices.Mutable(DeviceId("device-1")).mutable_info()->clear_battery_capacity_wh();
  refused(ForecastOf(kHourNow, {18000, 17000}), "has seen 20 W; want watts, not milliwatts");
  refused(ForecastOf(kHourNow, {-1}), "forecast.power_watts[0]: -1: want 0 to");
  refused(ForecastOf(kHourNow, {std::numeric_limits<double>::quiet_NaN()}), "power_watts[0]: nan");
  refused(ForecastOf(kHourNow, {}), "forecast.power_watts: 0 hours");
  refused(ForecastOf(kHourNow, std::vector<double>(385, 1)), "385 hours");
  v1::HarvestForecast forecast = ForecastOf(kHourNow, {1});
  forecast.set_first_hour_unix_seconds(kHourNow * kHourSeconds + 60);
  refused(forecast, "want the begin of a full hour");
  forecast = ForecastOf(kHourNow, {1});
  forecast.set_name("two words");
  refused(forecast, "forecast.name");
  forecast.set_name("weather");
  forecast.add_selector("site = mast");
  refused(forecast, "forecast.selector");
  EXPECT_TRUE(fleet_.state.forecasts.empty());
}

TEST_F(ForecastsTest, NightByThePlaceIsNightToo) {
  v1::DeviceRecord& device = fleet_.state.devices.Mutable(DeviceId("device-1"));
  device.mutable_ledger()->clear_harvest_power_watts_by_hour();  // No sun seen yet.
  ASSERT_THAT(Push(ForecastOf(kHourNow + 9, {3, 18})), IsOk());
  v1::Policy policy;
  policy.set_name("mast");
  policy.mutable_place()->set_latitude_degrees(45);
  policy.mutable_place()->set_longitude_degrees(8);
  Do(fleet_.state, fleet_.observations, ApplyPolicy{policy});
  EXPECT_THAT(Push(ForecastOf(kHourNow + 9, {3, 18})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("when it is night")));
}

TEST_F(ForecastsTest, AForecastThatIsNotThereCannotBeRemoved) {
  EXPECT_EQ(Decide(fleet_.state, RemoveForecast{"x"}, fleet_.observations, Now()).status.code(),
            absl::StatusCode::kNotFound);
  ASSERT_THAT(Push(ForecastOf(kHourNow, {1})), IsOk());
  Do(fleet_.state, fleet_.observations, RemoveForecast{"weather"});
  EXPECT_TRUE(fleet_.state.forecasts.empty());
}

TEST(KeepHarvestTest, FourDaysAreKept) {
  v1::RecentHarvest known;
  for (int64_t last = 1000; last < 1200; ++last) {
    v1::RecentHarvest told;
    told.set_last_hour(last);
    for (int64_t hour = last - 23; hour <= last; ++hour) {
      told.add_power_watts(static_cast<float>(hour));
    }
    KeepHarvest(told, known);
  }
  ASSERT_EQ(known.power_watts_size(), 96);
  EXPECT_EQ(known.last_hour(), 1199);
  EXPECT_EQ(known.power_watts(0), 1104);
  EXPECT_EQ(known.power_watts(95), 1199);
}

TEST(KeepHarvestTest, AnHourThatIsKnownTellsMoreHoursBeforeIt) {
  v1::RecentHarvest day;
  v1::RecentHarvest days;
  for (v1::RecentHarvest* const told : {&day, &days}) {
    told->set_last_hour(1000);
    told->mutable_power_watts()->Resize(told == &day ? 24 : 96, 7);
  }
  v1::RecentHarvest known;
  KeepHarvest(day, known);
  KeepHarvest(days, known);
  EXPECT_EQ(known.power_watts_size(), 96);
  KeepHarvest(day, known);
  EXPECT_EQ(known.power_watts_size(), 96);
  days.mutable_power_watts()->Add(7);
  days.set_last_hour(1001);
  KeepHarvest(days, known);
  EXPECT_EQ(known.last_hour(), 1000) << "no worker tells so many";
}

TEST(KeepHarvestTest, NothingAbsurdIsKept) {
  v1::RecentHarvest known;
  for (const int64_t last : {std::numeric_limits<int64_t>::min(), int64_t{-1}, int64_t{0},
                             std::numeric_limits<int64_t>::max()}) {
    v1::RecentHarvest told;
    told.set_last_hour(last);
    told.add_power_watts(1);
    KeepHarvest(told, known);
    EXPECT_EQ(known.power_watts_size(), 0) << last;
  }
}

}  // namespace
}  // namespace wattle::core
