// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/harvest_paths.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace wattle::timetable {
namespace {

using Factors = std::array<int64_t, kHarvestPaths>;

constexpr int64_t kOne = 1000;  // All factors are thousandths.
constexpr size_t kHoursOfDay = 24;

// The tables are computed by `bench/day_factors.py` from 730 days: 365 of the global irradiance of
// PVGIS's typical year at 45 N 8 E, 365 of the AC output of PVWatts's typical year near Denver. A
// worker halves the weight of earlier days with each new day (telemetry/battery/forecast.h).

// A day's sun as a share of its expectation on the evening before: the quantiles 1/128, 3/128 ...
// 127/128.
constexpr Factors kDayFactors = {
    177,  240,  310,  369,  424,  459,  496,  546,  593,  628,  652,  684,  717,  740,  757,  772,
    794,  803,  826,  846,  874,  882,  903,  923,  941,  952,  969,  977,  990,  999,  1008, 1026,
    1037, 1043, 1048, 1057, 1070, 1079, 1088, 1100, 1115, 1129, 1138, 1151, 1167, 1186, 1198, 1209,
    1219, 1238, 1274, 1299, 1335, 1393, 1439, 1483, 1511, 1579, 1646, 1689, 1758, 1947, 2240, 2880,
};

// The medians of the rest of a day and of the next day, by the day's latest three hours.
constexpr size_t kKnots = 9;
constexpr std::array<int64_t, kKnots> kSeen = {0, 250, 500, 750, 1000, 1250, 1500, 2000, 3000};
constexpr std::array<int64_t, kKnots> kRestOfDay = {241,  407,  630,  834, 1015,
                                                    1173, 1342, 1565, 2135};
constexpr std::array<int64_t, kKnots> kNextDay = {1024, 903, 961, 963, 970, 1108, 1315, 1474, 2161};

// The rest of a day as a share of that median, in the same quantiles: after hours with at most half
// of the expected sun, and after hours with the expected sun or more.
constexpr int64_t kDullUntil = 500;
constexpr int64_t kBrightFrom = 1000;
constexpr Factors kAroundDull = {
    0,    0,    142,  265,  322,  347,  376,  405,  434,  448,  471,  489,  509,  542,  560,  583,
    600,  633,  648,  660,  689,  712,  728,  741,  762,  776,  795,  827,  859,  873,  908,  934,
    965,  997,  1039, 1070, 1103, 1125, 1170, 1212, 1279, 1321, 1367, 1406, 1442, 1480, 1513, 1554,
    1602, 1639, 1666, 1701, 1749, 1797, 1871, 1980, 2064, 2113, 2249, 2371, 2515, 2732, 3335, 4540,
};
constexpr Factors kAroundBright = {
    301,  428,  528,  590,  642,  684,  722,  754,  778,  804,  823,  848,  862,  874,  887,  896,
    907,  917,  929,  938,  943,  950,  956,  961,  967,  973,  980,  986,  993,  998,  1004, 1009,
    1013, 1020, 1024, 1032, 1037, 1044, 1051, 1059, 1066, 1074, 1082, 1090, 1105, 1116, 1127, 1138,
    1150, 1163, 1183, 1202, 1218, 1242, 1268, 1295, 1328, 1365, 1405, 1448, 1519, 1628, 1747, 2058,
};

int64_t Between(int64_t low, int64_t high, int64_t at, int64_t first, int64_t last) {
  return first + (last - first) * (std::clamp(at, low, high) - low) / (high - low);
}

// The value at `seen` by linear interpolation between the knots.
int64_t At(int64_t seen, const std::array<int64_t, kKnots>& values) {
  size_t knot = 1;
  while (knot + 1 < kKnots && seen > kSeen[knot]) {
    ++knot;
  }
  return Between(kSeen[knot - 1], kSeen[knot], seen, values[knot - 1], values[knot]);
}

// The factors of one path for the rest of this day, the day after the next night, and all later
// days.
struct PathFactors {
  int64_t rest_of_day = 0;
  int64_t next_day = 0;
  int64_t later = 0;
};

PathFactors FactorsOf(size_t path, const SunOutlook& outlook) {
  // A proven forecast keeps the paths' order but brings them closer to the expectation.
  const auto narrowed = [&outlook](int64_t factor) {
    return kOne + (factor - kOne) * outlook.spread / kOne;
  };
  const int64_t prior = narrowed(kDayFactors[path]);
  if (!outlook.seen.has_value()) {
    return {prior, prior, prior};
  }
  const int64_t seen = *outlook.seen;
  // Bright mornings leave less spread than dull ones, so the distribution is interpolated by the
  // observed share.
  const int64_t around =
      Between(kDullUntil, kBrightFrom, seen, kAroundDull[path], kAroundBright[path]);
  return {.rest_of_day = narrowed(At(seen, kRestOfDay) * around / kOne),
          .next_day = narrowed(At(seen, kNextDay) * kDayFactors[path] / kOne),
          .later = prior};
}

}  // namespace

std::vector<Milliwatts> HarvestPath(const SunOutlook& outlook, int darker_paths) {
  const std::vector<Milliwatts>& most = outlook.most;
  WATTLE_CHECK(most.empty() || most.size() == outlook.expected.size(), "each hour has its bound");
  const PathFactors factors = FactorsOf(static_cast<size_t>(darker_paths), outlook);
  std::vector<Milliwatts> path;
  path.reserve(outlook.expected.size());
  for (size_t hour = 0; hour < outlook.expected.size(); ++hour) {
    // An observation predicts this day and the next; later days are independent of it.
    const int64_t factor = hour < outlook.hours_until_night                 ? factors.rest_of_day
                           : hour < outlook.hours_until_night + kHoursOfDay ? factors.next_day
                                                                            : factors.later;
    const Milliwatts power = outlook.expected[hour] * factor / kOne;
    path.push_back(most.empty() ? power : std::min(power, most[hour]));
  }
  return path;
}

std::vector<std::vector<Milliwatts>> HarvestPaths(const SunOutlook& outlook) {
  std::vector<std::vector<Milliwatts>> paths;
  paths.reserve(kHarvestPaths);
  for (int darker_paths = 0; darker_paths < kHarvestPaths; ++darker_paths) {
    paths.push_back(HarvestPath(outlook, darker_paths));
  }
  return paths;
}

}  // namespace wattle::timetable
