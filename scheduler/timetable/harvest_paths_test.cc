// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/harvest_paths.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/timetable/pack.h"

namespace wattle::timetable {
namespace {

Milliwatts Sum(const std::vector<Milliwatts>& path) {
  return std::accumulate(path.begin(), path.end(), Milliwatts{0});
}

TEST(HarvestPathsTest, TheMiddlePathIsTheExpectedHarvest) {
  const std::vector<Milliwatts> mean = {0, 10000, 50000};
  const std::vector<std::vector<Milliwatts>> paths = HarvestPaths({.expected = mean});
  ASSERT_EQ(paths.size(), size_t{kHarvestPaths});
  for (size_t hour = 0; hour < mean.size(); ++hour) {
    EXPECT_LE(paths[kHarvestPaths / 2 - 3][hour], mean[hour]) << "hour " << hour;
    EXPECT_GE(paths[kHarvestPaths / 2][hour], mean[hour]) << "hour " << hour;
  }
}

// Independent hours would cancel out over a day: the dark tenth of the days would have almost the
// mean. The dark tenth of real days has half of the mean and less.
TEST(HarvestPathsTest, ADarkPathIsDarkInAllItsHours) {
  const std::vector<Milliwatts> mean(24, 10000);
  const std::vector<std::vector<Milliwatts>> paths = HarvestPaths({.expected = mean});
  EXPECT_LT(Sum(paths[6]), Sum(mean) / 2);
  EXPECT_GT(Sum(paths[57]), Sum(mean) * 13 / 10);
  for (const std::vector<Milliwatts>& path : paths) {
    EXPECT_THAT(path, testing::Each(path.front()));
  }
}

// Two packs of one site: the paths in which one is dark are those in which the other is dark.
TEST(HarvestPathsTest, APathIsTheSameWeatherForEachPackOfASite) {
  const std::vector<std::vector<Milliwatts>> small = HarvestPaths({.expected = {4000}});
  const std::vector<std::vector<Milliwatts>> large = HarvestPaths({.expected = {40000}});
  for (size_t path = 0; path < small.size(); ++path) {
    EXPECT_LE(std::abs(10 * small[path][0] - large[path][0]), 10) << "path " << path;
    EXPECT_TRUE(path == 0 || small[path - 1][0] <= small[path][0]) << "path " << path;
  }
}

TEST(HarvestPathsTest, NoHourGivesMoreThanAClearSky) {
  const std::vector<std::vector<Milliwatts>> paths =
      HarvestPaths({.expected = {10000, 10000}, .most = {12000, 20000}});
  EXPECT_EQ(paths.back()[0], 12000);
  EXPECT_GT(paths.back()[1], 15000);
  EXPECT_LT(paths.front()[0], 3000);
}

// Work fits under a risk of k paths exactly if it fits in the path than which k paths are darker.
TEST(HarvestPathsTest, OnePathDecidesForARisk) {
  constexpr int kHours = 30;
  uint64_t state = 7;
  const auto below = [&state](int64_t bound) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(bound));
  };
  int fits = 0;
  for (int drawn = 0; drawn < 60; ++drawn) {
    std::vector<Milliwatts> mean;
    std::vector<Milliwatts> most;
    for (int hour = 0; hour < kHours; ++hour) {
      mean.push_back(below(2) * below(12'000));
      most.push_back(mean.back() + below(9'000));
    }
    PackSpec all{.capacity = 20'000'000 + below(80'000'000), .idle = below(2500)};
    all.charge = below(all.capacity);
    all.floor = {{.from = 0, .charge = all.capacity / 4}};
    all.broken_paths_max = static_cast<int>(below(8));
    all.harvest = HarvestPaths({.expected = mean, .most = most});
    PackSpec one = all;
    one.harvest = {HarvestPath({.expected = mean, .most = most}, all.broken_paths_max)};
    one.broken_paths_max = 0;
    Pack by_all(all);
    Pack by_one(one);
    for (int job = 0; job < 20; ++job) {
      const Demand demand{.job = job,
                          .begin = below(kHours * kHour),
                          .draw = {.length = 1 + below(4 * kHour),
                                   .power = below(9000),
                                   .held_back = below(2) * 1'000'000}};
      ASSERT_EQ(by_all.Fits(demand), by_one.Fits(demand)) << "pack " << drawn << ", job " << job;
      if (by_all.Fits(demand)) {
        ++fits;
        by_all.Add(demand);
        by_one.Add(demand);
      }
    }
  }
  EXPECT_GT(fits, 100);
}

// Two days of ten hours of sun, seen four hours before the first night.
SunOutlook Morning(int64_t seen) {
  SunOutlook outlook{
      .expected = std::vector<Milliwatts>(48, 10000), .seen = seen, .hours_until_night = 4};
  for (size_t hour = 4; hour < outlook.expected.size(); ++hour) {
    outlook.expected[hour] = hour % 24 >= 18 || hour % 24 < 4 ? 10000 : 0;
  }
  return outlook;
}

TEST(HarvestPathsTest, AnUsualMorningMakesTheDarkPathsOfTheDayBrighter) {
  const std::vector<std::vector<Milliwatts>> unseen =
      HarvestPaths({.expected = Morning(1000).expected});
  const std::vector<std::vector<Milliwatts>> seen = HarvestPaths(Morning(1000));
  EXPECT_GT(seen[1][0], unseen[1][0] * 3 / 2);
  EXPECT_LT(seen[62][0], unseen[62][0] * 4 / 5);
  EXPECT_NEAR(static_cast<double>(seen[32][0]), 10000, 500);
  // After the night the day is as uncertain as before.
  EXPECT_NEAR(static_cast<double>(seen[1][20]), static_cast<double>(unseen[1][20]), 200);
  EXPECT_EQ(seen[1][44], unseen[1][44]);
}

TEST(HarvestPathsTest, ABrighterMorningIsABrighterDayInEachPath) {
  for (int64_t seen = 0; seen < 4000; seen += 125) {
    const std::vector<std::vector<Milliwatts>> duller = HarvestPaths(Morning(seen));
    const std::vector<std::vector<Milliwatts>> brighter = HarvestPaths(Morning(seen + 125));
    EXPECT_GE(brighter[1][0], duller[1][0]) << "seen " << seen;
    EXPECT_GE(brighter[32][0], duller[32][0]) << "seen " << seen;
    EXPECT_TRUE(std::is_sorted(brighter.begin(), brighter.end(),
                               [](const auto& a, const auto& b) { return a[0] < b[0]; }))
        << "seen " << seen;
  }
}

}  // namespace
}  // namespace wattle::timetable
