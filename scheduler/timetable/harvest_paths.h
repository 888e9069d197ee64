// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Paths of the sun from its expected harvest. A dark day is dark in all its hours and over the
// whole site, and dark days come in runs. A whole path therefore has one weather: path p is the
// expected harvest times the p-th of 64 factors. Nothing is random: the factors are the 64 middle
// quantiles of recorded days, as a share of a worker's expectation for them. The middle path is the
// expectation; the mean of the paths is above it. All options of a plan are judged by the same
// paths, and path p of two packs on one site is the same weather.
//
// By day the latest hours predict more than all earlier days. The rest of the day then follows days
// with equally bright mornings, and the next day moves with it. Pure.
#ifndef WATTLE_SCHEDULER_TIMETABLE_HARVEST_PATHS_H_
#define WATTLE_SCHEDULER_TIMETABLE_HARVEST_PATHS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "scheduler/timetable/amounts.h"

namespace wattle::timetable {

inline constexpr int kHarvestPaths = 64;

// The forecast and the observed sun of one pack.
struct SunOutlook {
  // For each hour from the present one on, before this day's sun was observed.
  std::vector<Milliwatts> expected{};
  // Harvest of each hour under a clear sky; empty: no bound is known.
  std::vector<Milliwatts> most{};
  // Harvest of this day's latest hours in thousandths of the expected harvest; nullopt: it is
  // night, or the hours were not observed.
  std::optional<int64_t> seen{};
  size_t hours_until_night = 0;  // Hours of `expected` before the night; used with `seen`.
  // Distance of the factors from 1, in thousandths of the distance for an expectation from earlier
  // days only. A forecast that proved accurate has a smaller spread.
  int64_t spread = 1000;
};

// [path][hour], the darkest path first. REQUIRES: most is empty or as long as expected.
std::vector<std::vector<Milliwatts>> HarvestPaths(const SunOutlook& outlook);

// The path than which `darker_paths` paths are darker. A pack's charge is never lower in a path
// than in a darker one, so work that keeps the floor in this path breaks it in at most
// `darker_paths` paths, and work that breaks it here breaks it in more. A plan with this risk
// therefore needs only this path. REQUIRES: those of HarvestPaths; 0 <= darker_paths <
// kHarvestPaths.
std::vector<Milliwatts> HarvestPath(const SunOutlook& outlook, int darker_paths);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_HARVEST_PATHS_H_
