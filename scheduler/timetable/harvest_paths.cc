// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/harvest_paths.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/check.h"

namespace wattle::timetable {
namespace {

// A day's sun in thousandths of the mean of the 31 days around the same date: the quantiles 1/128,
// 3/128 ... 127/128 of 730 days. 365 are the global irradiance of PVGIS's typical year at 45 N 8 E,
// 365 the AC output of PVWatts's typical year near Denver. Their mean is 1000, so the paths keep
// the expected harvest. `bench/day_factors.py` computes them.
constexpr std::array<Milliwatts, kHarvestPaths> kDayFactors = {
    167,  237,  291,  314,  351,  403,  451,  488,  519,  554,  585,  627,  649,  675,  718,  751,
    787,  811,  836,  852,  879,  910,  937,  966,  981,  997,  1013, 1025, 1038, 1051, 1073, 1087,
    1097, 1119, 1132, 1142, 1152, 1161, 1170, 1182, 1190, 1201, 1209, 1217, 1224, 1236, 1244, 1254,
    1263, 1270, 1282, 1294, 1304, 1314, 1325, 1345, 1356, 1381, 1405, 1429, 1455, 1473, 1505, 1646,
};

}  // namespace

std::vector<std::vector<Milliwatts>> HarvestPaths(absl::Span<const Milliwatts> mean,
                                                  absl::Span<const Milliwatts> most) {
  WATTLE_CHECK(most.empty() || most.size() == mean.size(), "each hour has its bound");
  std::vector<std::vector<Milliwatts>> paths;
  paths.reserve(kHarvestPaths);
  for (const Milliwatts factor : kDayFactors) {
    std::vector<Milliwatts>& path = paths.emplace_back();
    path.reserve(mean.size());
    for (size_t hour = 0; hour < mean.size(); ++hour) {
      const Milliwatts power = mean[hour] * factor / 1000;
      path.push_back(most.empty() ? power : std::min(power, most[hour]));
    }
  }
  return paths;
}

}  // namespace wattle::timetable
