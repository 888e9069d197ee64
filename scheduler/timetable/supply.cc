// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/supply.h"

#include <algorithm>

namespace wattle::timetable {

std::optional<Seconds> Supply::EarliestFit(SupplyRun run) const {
  if (!FitsAlone(run.power)) {
    return std::nullopt;
  }
  std::vector<Seconds> begins = {run.begin};
  for (const SupplyRun& other : runs_) {
    if (other.end() > run.begin) {
      begins.push_back(other.end());
    }
  }
  std::sort(begins.begin(), begins.end());
  for (const Seconds begin : begins) {
    run.begin = begin;
    if (Fits(run)) {
      return begin;
    }
  }
  return std::nullopt;
}

void Supply::Remove(int job) {
  std::erase_if(runs_, [job](const SupplyRun& run) { return run.job == job; });
}

// The sum grows only where a run begins, so the run's own begin and those within it are enough.
Milliwatts Supply::DrawOver(const SupplyRun& run) const {
  std::vector<Seconds> moments = {run.begin};
  for (const SupplyRun& other : runs_) {
    if (other.begin > run.begin && other.begin < run.end()) {
      moments.push_back(other.begin);
    }
  }
  Milliwatts most = 0;
  for (const Seconds moment : moments) {
    Milliwatts sum = spec_.idle;
    for (const SupplyRun& other : runs_) {
      sum += other.begin <= moment && moment < other.end() ? other.power : 0;
    }
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace wattle::timetable
