// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fleet's timetable for people: what each device runs, its planned runs, and its expected
// charge. Pure.
#ifndef WATTLE_COORDINATOR_CORE_FLEET_TIMETABLE_H_
#define WATTLE_COORDINATOR_CORE_FLEET_TIMETABLE_H_

#include "absl/status/statusor.h"

#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::core {

// Errors: kInvalidArgument if the horizon is out of bounds.
absl::StatusOr<v1::Timetable> FleetTimetable(const State& state, const Observations& observations,
                                             const PlanningInputs& inputs,
                                             const v1::TimetableRequest& request,
                                             const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_FLEET_TIMETABLE_H_
