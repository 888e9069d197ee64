// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Judges the plan of a fleet by timetable::CheckPlan, and says why a job has no place. Both look at
// each device by itself and share no pool, way or bound with FleetPlanner. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_CHECK_FLEET_PLAN_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_CHECK_FLEET_PLAN_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/fleet_plan/fleet.h"
#include "scheduler/fleet_plan/rules.h"
#include "scheduler/timetable/instance.h"

namespace wattle::fleet_plan {

// Some devices of the fleet with the packs and supplies that they share, and some of its jobs with
// all their ways on these devices, in this order. REQUIRES: the devices share no power with others.
timetable::Instance InstanceOf(const Fleet& fleet, absl::Span<const size_t> devices,
                               absl::Span<const size_t> jobs);
// The whole fleet. Large fleets have too many ways for that.
timetable::Instance InstanceOf(const Fleet& fleet);

// The places as a plan of InstanceOf(fleet).
std::vector<timetable::Planned> PlannedOf(const Fleet& fleet,
                                          absl::Span<const std::optional<Option>> plan);

// As CheckPlan, for the whole fleet. plan: in the order of Fleet::jobs.
std::optional<std::string> CheckFleetPlan(const Fleet& fleet,
                                          absl::Span<const std::optional<Option>> plan);

// Why a job without a place has none. kNever: no device could ever run it, whatever else is
// planned; the numbers are of the device that keeps the most rules.
Verdict WhyNoPlace(const Fleet& fleet, const Job& job);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_CHECK_FLEET_PLAN_H_
