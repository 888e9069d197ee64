// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/harvest_paths.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/check.h"

namespace wattle::timetable {
namespace {

// A day's sun in thousandths of what a worker expected on the evening before: the quantiles 1/128,
// 3/128 ... 127/128 of 730 days. A worker halves the weight of earlier days with each new day
// (telemetry/battery/forecast.h). 365 days are the global irradiance of PVGIS's typical year at
// 45 N 8 E, 365 the AC output of PVWatts's typical year near Denver. `bench/day_factors.py`
// computes them.
constexpr std::array<Milliwatts, kHarvestPaths> kDayFactors = {
    177,  240,  310,  369,  424,  459,  496,  546,  593,  628,  652,  684,  717,  740,  757,  772,
    794,  803,  826,  846,  874,  882,  903,  923,  941,  952,  969,  977,  990,  999,  1008, 1026,
    1037, 1043, 1048, 1057, 1070, 1079, 1088, 1100, 1115, 1129, 1138, 1151, 1167, 1186, 1198, 1209,
    1219, 1238, 1274, 1299, 1335, 1393, 1439, 1483, 1511, 1579, 1646, 1689, 1758, 1947, 2240, 2880,
};

}  // namespace

std::vector<Milliwatts> HarvestPath(absl::Span<const Milliwatts> mean,
                                    absl::Span<const Milliwatts> most, int darker_paths) {
  WATTLE_CHECK(most.empty() || most.size() == mean.size(), "each hour has its bound");
  const Milliwatts factor = kDayFactors[static_cast<size_t>(darker_paths)];
  std::vector<Milliwatts> path;
  path.reserve(mean.size());
  for (size_t hour = 0; hour < mean.size(); ++hour) {
    const Milliwatts power = mean[hour] * factor / 1000;
    path.push_back(most.empty() ? power : std::min(power, most[hour]));
  }
  return path;
}

std::vector<std::vector<Milliwatts>> HarvestPaths(absl::Span<const Milliwatts> mean,
                                                  absl::Span<const Milliwatts> most) {
  std::vector<std::vector<Milliwatts>> paths;
  paths.reserve(kHarvestPaths);
  for (int darker_paths = 0; darker_paths < kHarvestPaths; ++darker_paths) {
    paths.push_back(HarvestPath(mean, most, darker_paths));
  }
  return paths;
}

}  // namespace wattle::timetable
