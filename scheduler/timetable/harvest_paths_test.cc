// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/harvest_paths.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::timetable {
namespace {

Milliwatts Sum(const std::vector<Milliwatts>& path) {
  return std::accumulate(path.begin(), path.end(), Milliwatts{0});
}

TEST(HarvestPathsTest, TheMiddlePathIsTheExpectedHarvest) {
  const std::vector<Milliwatts> mean = {0, 10000, 50000};
  const std::vector<std::vector<Milliwatts>> paths = HarvestPaths(mean, {});
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
  const std::vector<std::vector<Milliwatts>> paths = HarvestPaths(mean, {});
  EXPECT_LT(Sum(paths[6]), Sum(mean) / 2);
  EXPECT_GT(Sum(paths[57]), Sum(mean) * 13 / 10);
  for (const std::vector<Milliwatts>& path : paths) {
    EXPECT_THAT(path, testing::Each(path.front()));
  }
}

// Two packs of one site: the paths in which one is dark are those in which the other is dark.
TEST(HarvestPathsTest, APathIsTheSameWeatherForEachPackOfASite) {
  const std::vector<std::vector<Milliwatts>> small =
      HarvestPaths(std::vector<Milliwatts>{4000}, {});
  const std::vector<std::vector<Milliwatts>> large =
      HarvestPaths(std::vector<Milliwatts>{40000}, {});
  for (size_t path = 0; path < small.size(); ++path) {
    EXPECT_LE(std::abs(10 * small[path][0] - large[path][0]), 10) << "path " << path;
    EXPECT_TRUE(path == 0 || small[path - 1][0] <= small[path][0]) << "path " << path;
  }
}

TEST(HarvestPathsTest, NoHourGivesMoreThanAClearSky) {
  const std::vector<std::vector<Milliwatts>> paths =
      HarvestPaths(std::vector<Milliwatts>{10000, 10000}, std::vector<Milliwatts>{12000, 20000});
  EXPECT_EQ(paths.back()[0], 12000);
  EXPECT_GT(paths.back()[1], 15000);
  EXPECT_LT(paths.front()[0], 3000);
}

}  // namespace
}  // namespace wattle::timetable
