// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/guard.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

GuardReading Reading(double charge) {
  return {.state_of_charge = Fraction(charge),
          .battery_expected = true,
          .gauge_error = Fraction(0.05),
          .capacity = FromWattHours(100)};
}
const StopCost kCost = {.longest_step = Joules(600), .checkpoint = Joules(600)};
constexpr GuardLimits kReserve = {.reserve = Fraction(0.3), .temperature_max = {}};

TEST(GuardTest, MarginIsGaugeErrorAndCostOfStopping) {
  EXPECT_NEAR(StopThreshold(Fraction(0.3), Reading(1), kCost).value(),
              0.3 + 0.05 + 1.5 * 1200 / 360000, 1e-9);
}

TEST(GuardTest, StopsAtTheThresholdAndResumesWithHysteresis) {
  Guard guard;
  EXPECT_THAT(guard.Check(kReserve, Reading(0.356), kCost), IsEmpty());
  EXPECT_THAT(guard.Check(kReserve, Reading(0.355), kCost), HasSubstr("reserve 30 %"));
  EXPECT_THAT(guard.Check(kReserve, Reading(0.38), kCost), HasSubstr("resumes above"));
  EXPECT_THAT(guard.Check(kReserve, Reading(0.386), kCost), IsEmpty());
}

TEST(GuardTest, ALostReadingStopsWorkOnlyWhereAReserveIsDemanded) {
  GuardReading lost = Reading(0.9);
  lost.state_of_charge.reset();
  EXPECT_THAT(Guard().Check(kReserve, lost, kCost), HasSubstr("no reading"));
  EXPECT_THAT(Guard().Check({}, lost, kCost), IsEmpty());
  EXPECT_THAT(Guard().Check(kReserve, {}, kCost), IsEmpty());  // mains: no battery at all
}

TEST(GuardTest, TemperatureHasHysteresisToo) {
  const GuardLimits limits = {.reserve = {}, .temperature_max = Celsius(80)};
  Guard guard;
  GuardReading reading = {.temperature = Celsius(80)};
  EXPECT_THAT(guard.Check(limits, reading, {}), IsEmpty());
  reading.temperature = Celsius(80.5);
  EXPECT_THAT(guard.Check(limits, reading, {}), HasSubstr("80.5 °C"));
  reading.temperature = Celsius(76);
  EXPECT_THAT(guard.Check(limits, reading, {}), HasSubstr("limit 80.0 °C"));
  reading.temperature = Celsius(75);
  EXPECT_THAT(guard.Check(limits, reading, {}), IsEmpty());
}

// Hundreds of random days on a solar mast: a gauge with an error of up to 5 % that shows whole
// percents, clouds, idle draw. Work is steps that cannot be stopped inside, then a checkpoint.
struct Day {
  Joules work_below_reserve;
  Joules work;
};

Day SimulateDays(uint64_t seed, int days) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  const double capacity = 3600.0 * (20 + 180 * unit(random));
  const double reserve = 0.1 + 0.4 * unit(random);
  const double idle_watts = 2 + 3 * unit(random);
  const double work_watts = 6 + 9 * unit(random);  // above idle
  const double panel_watts = 10 + 50 * unit(random);
  const double step_seconds_max = 1 + 29 * unit(random);
  const double checkpoint_seconds = 1 + 19 * unit(random);
  const StopCost cost = {.longest_step = Joules((idle_watts + work_watts) * step_seconds_max),
                         .checkpoint = Joules((idle_watts + work_watts) * checkpoint_seconds)};
  Guard guard;
  double charge = capacity * (reserve + (1 - reserve) * unit(random));
  double drift = 0.04 * (2 * unit(random) - 1);
  double cloud = 1;
  bool working = false;
  Day result;
  for (double t = 0; t < 86400.0 * days;) {
    const double hour = std::fmod(t / 3600, 24);
    if (unit(random) < 0.01) {
      cloud = unit(random);
      drift = 0.04 * (2 * unit(random) - 1);
    }
    const double sun = panel_watts * cloud * std::max(0.0, std::sin((hour - 6) / 12 * M_PI));
    const double shown = std::clamp(std::round(100 * (charge / capacity + drift)) / 100, 0.0, 1.0);
    GuardReading reading = {.state_of_charge = Fraction(shown),
                            .battery_expected = true,
                            .gauge_error = Fraction(0.05),
                            .capacity = Joules(capacity)};
    const bool may_work =
        guard.Check({.reserve = Fraction(reserve), .temperature_max = {}}, reading, cost).empty();
    double seconds = 60;
    double watts = idle_watts;
    if (may_work || working) {
      // One step; or the checkpoint that a stop needs.
      seconds = may_work ? step_seconds_max * (0.5 + 0.5 * unit(random)) : checkpoint_seconds;
      watts += work_watts;
      working = may_work;
      const double end = charge + (sun - watts) * seconds;
      const Joules spent(work_watts * seconds);
      result.work += spent;
      if (end < reserve * capacity) {
        result.work_below_reserve += spent;
      }
    }
    charge = std::clamp(charge + (sun - watts) * seconds, 0.0, capacity);
    t += seconds;
  }
  return result;
}

TEST(GuardSimulationTest, NoWorkIsDoneBelowTheReserve) {
  constexpr uint64_t kFirstSeed = 1;
  Joules work;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + 100; ++seed) {
    const Day day = SimulateDays(seed, 3);
    EXPECT_EQ(day.work_below_reserve, Joules(0)) << "seed " << seed;
    work += day.work;
  }
  // The guard that never lets anything run would pass too.
  EXPECT_GT(ToWattHours(work), 1000.0);
}

}  // namespace
}  // namespace wattle::telemetry
