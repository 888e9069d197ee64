// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks the places of a plan by timetable::CheckPlan, which shares no code with the planner:
// boards run one job at a time and are free, deadlines hold by the mean, jobs of a group run apart,
// and packs and supplies keep the floors and caps that the plan was given. For a probe, whose first
// steps decide more, the lower end has to be in time, and a pack has to supply its mean. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_CHECK_PLACES_H_
#define WATTLE_SCHEDULER_PLACE_CHECK_PLACES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"

namespace wattle::scheduler {

// A job of a plan. A job without a place breaks no rule.
struct JobPlace {
  const JobView& job;
  const QueuePlacement& placed;
};

// The first broken rule with its numbers, in CheckPlan's words; nullopt: none. loads: before the
// first of these jobs. places: in the order in which the plan took them.
std::optional<std::string> CheckPlaces(const Snapshot& snapshot, const FleetLoads& loads,
                                       absl::Span<const JobPlace> places);

// Checks a plan of the whole queue. REQUIRES: no attempt leaves its device for one of its jobs.
std::optional<std::string> CheckPlaces(const Snapshot& snapshot,
                                       absl::Span<const QueuePlacement> plan);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_CHECK_PLACES_H_
