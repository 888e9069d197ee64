// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Paths of the sun from its expected harvest. A dark day is dark in all its hours and over the
// whole site, and dark days come in rows. So one weather holds for a whole path: path p is the
// expected harvest times the p-th of 64 factors. Nothing is drawn: the factors are the 64 middle
// quantiles of what days really were, as a share of what a worker expected of them. The middle path
// is the expectation; the mean of the paths is above it. All options of a plan meet the same paths,
// and path p of two packs on one site is the same weather.
//
// By day the latest hours tell more than all days before. The rest of the day is then what days
// became whose mornings were as bright, and the next day moves with it. Pure.
#ifndef WATTLE_SCHEDULER_TIMETABLE_HARVEST_PATHS_H_
#define WATTLE_SCHEDULER_TIMETABLE_HARVEST_PATHS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "scheduler/timetable/amounts.h"

namespace wattle::timetable {

inline constexpr int kHarvestPaths = 64;

// What is known of the sun of one pack.
struct SunOutlook {
  // Of each hour from the present one on, before this day's sun was seen.
  std::vector<Milliwatts> expected{};
  // What each hour can give under a clear sky; empty: no bound is known.
  std::vector<Milliwatts> most{};
  // The latest hours of this day in thousandths of what was expected of them; nullopt: it is night,
  // or they were not observed.
  std::optional<int64_t> seen{};
  size_t hours_until_night = 0;  // Of `expected`; with `seen`.
  // How far the factors are from 1, in thousandths of how far they are where days before alone tell
  // what to expect. A forecast that proved right leaves less to chance.
  int64_t spread = 1000;
};

// [path][hour], the darkest path first. REQUIRES: most is empty or as long as expected.
std::vector<std::vector<Milliwatts>> HarvestPaths(const SunOutlook& outlook);

// The path that so many are darker than. A pack's charge is nowhere lower in a path than in a
// darker one, so work that keeps the floor in this path breaks it in `darker_paths` paths at most,
// and work that breaks it here breaks it in more. A plan with a risk of so many paths follows this
// one alone. REQUIRES: as HarvestPaths; 0 <= darker_paths < kHarvestPaths.
std::vector<Milliwatts> HarvestPath(const SunOutlook& outlook, int darker_paths);

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_HARVEST_PATHS_H_
