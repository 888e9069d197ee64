// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests work that rests at the floor of its pack, and its effect on other work.
#include <optional>
#include <random>
#include <vector>

#include "gtest/gtest.h"

#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/pack.h"

namespace wattle::timetable {
namespace {

constexpr Seconds kNow = 1'800'000'000 / kHour * kHour;
constexpr Millijoules kWattHour = 3'600'000;

// Twelve hours of sun, twelve hours without, for two days.
PackSpec TwoDays(Milliwatts sun) {
  PackSpec spec{.now = kNow,
                .capacity = 100 * kWattHour,
                .charge = 50 * kWattHour,
                .idle = 0,
                .floor = {{.from = kNow, .charge = 30 * kWattHour}},
                .first_hour = kNow};
  std::vector<Milliwatts>& hours = spec.harvest.emplace_back();
  for (int hour = 0; hour < 48; ++hour) {
    hours.push_back(hour % 24 < 12 ? sun : 0);
  }
  return spec;
}

Demand PausableDemand(Seconds begin, Seconds length, Milliwatts power) {
  return {.job = 1, .begin = begin, .draw = {.length = length, .power = power, .pausable = true}};
}

TEST(PausableWorkTest, EndsOnceTheSunHasPaidForIt) {
  // 20 Wh lie above the floor and 12 h bring 5 Wh each: 80 Wh are 8 h of 10 W. Then work is at the
  // floor, and runs for half of each hour of sun.
  const Pack pack(TwoDays(/*sun=*/5000));
  const auto end = [&](Seconds hours, Seconds restart) {
    return pack.EndIfPaused(PausableDemand(kNow, hours * kHour, 10'000), restart, 50);
  };
  EXPECT_EQ(end(4, 0), kNow + 4 * kHour);
  EXPECT_EQ(end(8, 0), kNow + 12 * kHour);
  EXPECT_EQ(end(9, 0), kNow + 26 * kHour);
  EXPECT_EQ(end(9, kHour), kNow + 28 * kHour) << "one night, one restart";
  EXPECT_EQ(end(15, 0), kNow + 52 * kHour)
      << "6 h of work in the last day, and 1 h is left behind it";
}

TEST(PausableWorkTest, ADarkerPathEndsLater) {
  PackSpec spec = TwoDays(/*sun=*/5000);
  for (int path = 0; path < 9; ++path) {
    spec.harvest.push_back(TwoDays(/*sun=*/1000 + 500 * path).harvest.front());
  }
  const Pack pack(spec);
  const Demand run = PausableDemand(kNow, 6 * kHour, 10'000);
  EXPECT_GT(*pack.EndIfPaused(run, 0, 10), *pack.EndIfPaused(run, 0, 50));
}

TEST(PausableWorkTest, BreaksNoFloorAndLeavesItAtTheFloor) {
  Pack pack(TwoDays(/*sun=*/0));
  pack.Add(PausableDemand(kNow, 24 * kHour, 10'000));
  EXPECT_EQ(pack.broken_paths(), 0);
  EXPECT_EQ(pack.ChargeByHour()[1].median, 40 * kWattHour);
  EXPECT_EQ(pack.ChargeByHour()[24].median, 30 * kWattHour);
}

TEST(PausableWorkTest, LeavesNoChargeToRunsThatComeLater) {
  Pack pack(TwoDays(/*sun=*/0));
  const Demand later = {
      .job = 2, .begin = kNow + 30 * kHour, .draw = {.length = kHour, .power = 5000}};
  EXPECT_TRUE(pack.Fits(later));
  pack.Add(PausableDemand(kNow, 24 * kHour, 10'000));
  EXPECT_FALSE(pack.Fits(later));
}

TEST(PausableWorkTest, IsRefusedWhereAReservedRunNeedsTheCharge) {
  Pack pack(TwoDays(/*sun=*/0));
  pack.Add({.job = 2, .begin = kNow + 30 * kHour, .draw = {.length = kHour, .power = 15'000}});
  EXPECT_FALSE(pack.Fits(PausableDemand(kNow, 24 * kHour, 10'000)));
  EXPECT_TRUE(pack.Fits(PausableDemand(kNow, kHour / 2, 10'000)));
}

// The check of plans is written apart from the pack.
TEST(PausableWorkTest, CheckPlanAgreesOnRunsBesideIt) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice(seed);
  const auto below = [&dice](int64_t bound) { return static_cast<int64_t>(dice()) % bound; };
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    PackSpec spec = TwoDays(/*sun=*/below(15'000));
    spec.idle = below(2000);
    const Demand pausable =
        PausableDemand(kNow + below(20 * kHour), 1 + below(20 * kHour), 1000 + below(15'000));
    const Demand fixed = {
        .job = 2,
        .begin = kNow + below(30 * kHour),
        .draw = {
            .length = 1 + below(10 * kHour), .power = below(8000), .held_back = below(kWattHour)}};
    Pack pack(spec);
    pack.Add(pausable);
    Instance instance;
    instance.packs = {spec};
    instance.devices = {{.pack = 0}};
    instance.settled = {{.pack = 0, .begin = pausable.begin, .draw = pausable.draw}};
    InstanceJob& job = instance.jobs.emplace_back();
    job.released = kNow;
    job.options.push_back({.device = 0, .draw = fixed.draw});
    const std::vector<Planned> plan = {
        {.job = 0, .device = 0, .start = fixed.begin, .in_time = true}};
    const bool fits = pack.Fits(fixed);
    refused += fits ? 0 : 1;
    EXPECT_EQ(fits, !CheckPlan(instance, plan).has_value()) << round;
  }
  EXPECT_GT(refused, 50);
  EXPECT_LT(refused, 450);
}

}  // namespace
}  // namespace wattle::timetable
