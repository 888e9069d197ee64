// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/forecast.h"

#include <cmath>

#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

constexpr int64_t kMidnight = 1'899'936'000;  // 2030-03-17 00:00 UTC
const Joules kForecastCapacity = FromWattHours(100);

BatteryReading At(double hours, double charge, std::optional<Watts> discharge,
                  std::optional<Watts> device = Watts(5)) {
  const absl::Duration since = absl::Hours(1) * hours;
  return {.at = Monotonic(absl::Hours(100) + since),
          .civil = absl::FromUnixSeconds(kMidnight) + since,
          .charge = Fraction(charge),
          .capacity = kForecastCapacity,
          .discharge = discharge,
          .device = device};
}
Monotonic Now(double hours) {
  return Monotonic(absl::Hours(100) + absl::Hours(1) * hours);
}

TEST(BatteryForecastTest, EmptyAndFullAtThePresentPower) {
  BatteryForecast forecast({});
  forecast.Add(At(0, 0.5, Watts(10)));
  EXPECT_EQ(forecast.ToEmpty(Now(0)), absl::Hours(5));
  EXPECT_EQ(forecast.ToFull(Now(0)), std::nullopt);
  forecast.Add(At(0.01, 0.5, Watts(-10)));
  EXPECT_EQ(forecast.ToEmpty(Now(0.01)), std::nullopt);
  EXPECT_NEAR(absl::ToDoubleHours(*forecast.ToFull(Now(0.01))), 5, 0.01);
  EXPECT_EQ(forecast.Power(Now(0.01)), Watts(10));
  EXPECT_EQ(forecast.Power(Now(1)), std::nullopt);  // the last reading is an hour old
}

TEST(BatteryForecastTest, WithoutAPowerReadingTheSlopeOfTheChargeGivesThePower) {
  BatteryForecast forecast({});
  for (int minute = 0; minute <= 30; ++minute) {
    forecast.Add(At(minute / 60.0, 0.5 - minute / 60.0 * 0.1, std::nullopt));
    EXPECT_EQ(forecast.Power(Now(minute / 60.0)).has_value(), minute >= 15) << minute;
  }
  EXPECT_NEAR(forecast.Power(Now(0.5))->value(), -10, 0.01);
}

// A panel of 20 W from 6 to 18 o'clock and a device of 5 W.
BatteryForecast AfterDays(int days) {
  BatteryForecast forecast({});
  for (int minute = 0; minute < days * 24 * 60; ++minute) {
    const double hours = minute / 60.0;
    const double hour = std::fmod(hours, 24);
    const bool sun = hour >= 6 && hour < 18;
    forecast.Add(At(hours, 0.5, Watts(sun ? -15 : 5)));
  }
  return forecast;
}

TEST(BatteryForecastTest, EachHourOfTheDayHasItsHarvest) {
  const BatteryForecast forecast = AfterDays(3);
  EXPECT_NEAR(forecast.HarvestAt(12)->value(), 20, 0.01);
  EXPECT_NEAR(forecast.HarvestAt(3)->value(), 0, 0.01);
}

TEST(BatteryForecastTest, TheTimeToFullKnowsTheNight) {
  BatteryForecast forecast = AfterDays(2);
  // At 20 o'clock 30 Wh of 100 Wh are missing. Until 6 o'clock the device draws 50 Wh more.
  forecast = BatteryForecast(forecast.harvest());
  forecast.Add(At(20, 0.7, Watts(5)));
  EXPECT_NEAR(absl::ToDoubleHours(*forecast.ToFull(Now(20))), 10 + 80.0 / 15, 0.05);
}

constexpr double kLargePackWh = 400;

// An oracle that simulates minute by minute: 20 W from 6 to 18 o'clock.
std::optional<double> HoursToFull(double begin_hour, double missing_wh, double device_watts) {
  for (int minute = 0; minute < 14 * 24 * 60; ++minute) {
    if (missing_wh <= 0) {
      return minute / 60.0;
    }
    const double hour = std::fmod(begin_hour + minute / 60.0, 24);
    missing_wh -= ((hour >= 6 && hour < 18 ? 20 : 0) - device_watts) / 60;
    missing_wh = std::min(missing_wh, kLargePackWh);
  }
  return std::nullopt;
}

TEST(BatteryForecastTest, TheTimeToFullMayBeDaysOrNever) {
  const BatteryForecast days = AfterDays(2);
  int after_days = 0;
  int never = 0;
  for (double device_watts = 7; device_watts < 13; device_watts += 0.1) {
    for (const double begin_hour : {0.0, 8.5, 12.25, 20.0}) {
      SCOPED_TRACE(testing::Message() << device_watts << " W at " << begin_hour);
      BatteryForecast forecast(days.harvest());
      BatteryReading reading = At(begin_hour, 0.5, Watts(device_watts), Watts(device_watts));
      reading.capacity = FromWattHours(kLargePackWh);
      forecast.Add(reading);
      const std::optional<absl::Duration> told = forecast.ToFull(Now(begin_hour));
      // The harvest learned in AfterDays is off by a minute of sun, so the oracle runs with a
      // slightly smaller and a slightly larger deficit.
      const std::optional<double> soonest = HoursToFull(begin_hour, 198, device_watts);
      const std::optional<double> latest = HoursToFull(begin_hour, 202, device_watts);
      if (told.has_value()) {
        ASSERT_TRUE(soonest.has_value());
        EXPECT_GE(absl::ToDoubleHours(*told), *soonest - 0.1);
        after_days += *soonest > 48 ? 1 : 0;
      }
      if (latest.has_value()) {
        ASSERT_TRUE(told.has_value());
        EXPECT_LE(absl::ToDoubleHours(*told), *latest + 0.1);
      }
      never += told.has_value() ? 0 : 1;
    }
  }
  EXPECT_GT(after_days, 5);
  EXPECT_GT(never, 20);
}

TEST(BatteryForecastTest, ASuspendIsNoHarvestAndAnUnsetClockHasNoHours) {
  BatteryForecast forecast({});
  forecast.Add(At(12, 0.5, Watts(-15)));
  forecast.Add(At(15, 0.9, Watts(-15)));
  for (int hour = 0; hour < 24; ++hour) {
    EXPECT_EQ(forecast.harvest()[static_cast<size_t>(hour)].observed, absl::ZeroDuration());
  }
  BatteryReading unset = At(15.01, 0.9, Watts(-15));
  unset.civil = absl::UnixEpoch();
  forecast.Add(unset);
  EXPECT_EQ(forecast.harvest()[0].observed, absl::ZeroDuration());
}

// Begin and end of work change the draw at once, but the slope of the charge only a quarter of an
// hour later.
TEST(BatteryForecastTest, WorkAtNightIsNoSunForAGaugeWithoutPower) {
  BatteryForecast forecast({});
  double charge = 0.9;
  for (int minute = 0; minute <= 5 * 60; ++minute) {
    const double watts = minute >= 100 && minute < 145 ? 15 : 5;
    forecast.Add(At(minute / 60.0, charge, std::nullopt, Watts(watts)));
    charge -= (minute + 1 >= 100 && minute + 1 < 145 ? 15 : 5) / 60.0 / 100;
  }
  for (int hour = 0; hour < 5; ++hour) {
    EXPECT_NEAR(forecast.HarvestAt(hour)->value(), 0, 0.01) << "hour " << hour;
  }
}

// A gauge in steps of a hundredth: the charge falls by a step each 12 minutes.
TEST(BatteryForecastTest, ACoarseGaugeShowsNoSunAtNight) {
  BatteryForecast forecast({});
  for (int minute = 0; minute <= 5 * 60; ++minute) {
    const double charge = 0.9 - std::floor(minute / 12.0) / 100;
    forecast.Add(At(minute / 60.0, charge, std::nullopt));
  }
  for (int hour = 0; hour < 5; ++hour) {
    EXPECT_LE(forecast.HarvestAt(hour)->value(), 1) << "hour " << hour;
  }
}

TEST(BatteryForecastTest, AFullBatteryHidesTheSunAndLowersNoMean) {
  BatteryForecast forecast({});
  for (int day = 0; day < 2; ++day) {
    for (int minute = 0; minute < 180; ++minute) {
      const bool full = day == 1 && minute >= 60;
      forecast.Add(At(24 * day + 10 + minute / 60.0, full ? 1 : 0.5, Watts(full ? 0 : -15)));
    }
  }
  EXPECT_NEAR(forecast.HarvestAt(11)->value(), 20, 0.01);
  const HarvestOfHours& recent = forecast.recent();
  ASSERT_GE(recent.power.size(), size_t{2});
  EXPECT_EQ(recent.power.back(), std::nullopt);
  EXPECT_NEAR(recent.power[recent.power.size() - 2]->value(), 20, 0.01);
}

TEST(BatteryForecastTest, ABoardBehindAFullPackOfItsFirstDayCountsWhatItTook) {
  BatteryForecast forecast({});
  for (int minute = 0; minute < 60; ++minute) {
    forecast.Add(At(10 + minute / 60.0, 1, Watts(0)));
  }
  EXPECT_NEAR(forecast.HarvestAt(10)->value(), 5, 0.01);
}

}  // namespace
}  // namespace wattle::telemetry
