// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks the plan of a fleet by timetable::CheckPlan, and explains why a job has no place. Both
// examine each device by itself and share no pool, way or bound with FleetPlanner. Pure;
// thread-safe.
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
// The instance of the whole fleet. A large fleet has too many ways for one instance.
timetable::Instance InstanceOf(const Fleet& fleet);

// The places as a plan of InstanceOf(fleet).
std::vector<timetable::Planned> PlannedOf(const Fleet& fleet,
                                          absl::Span<const std::optional<Option>> plan);

// Applies CheckPlan to the whole fleet. plan: in the order of Fleet::jobs.
std::optional<std::string> CheckFleetPlan(const Fleet& fleet,
                                          absl::Span<const std::optional<Option>> plan);

// Why a job without a place has none. kNever: no device could ever run it, whatever else is
// planned; the numbers belong to the device that keeps the most rules.
Verdict WhyNoPlace(const Fleet& fleet, const Job& job);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_CHECK_FLEET_PLAN_H_
