// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An instance of ./dev bench place as a fleet, so that scheduler/fleet_plan plans it too: each
// board is a device class, and each job a work class.
#ifndef WATTLE_BENCH_FLEET_OF_INSTANCE_H_
#define WATTLE_BENCH_FLEET_OF_INSTANCE_H_

#include <optional>
#include <vector>

#include "scheduler/fleet_plan/fleet.h"
#include "scheduler/timetable/instance.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::bench {

fleet_plan::Fleet FleetOf(const timetable::Instance& instance);

// The places as a schedule of the instance.
timetable::Schedule ScheduleOf(const timetable::Instance& instance,
                               const std::vector<std::optional<fleet_plan::Option>>& places);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_FLEET_OF_INSTANCE_H_
