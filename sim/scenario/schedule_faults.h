// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Schedules a scenario's faults.
#ifndef WATTLE_SIM_SCENARIO_SCHEDULE_FAULTS_H_
#define WATTLE_SIM_SCENARIO_SCHEDULE_FAULTS_H_

#include <cstdint>

#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/scenario/scenario.h"

namespace wattle::sim {

// Cuts links and power, makes disks fail and lets runners crash, at the scenario's times. loop and
// fleet: must outlive the run.
void ScheduleFaults(const Scenario& scenario, uint64_t seed, EventLoop& loop, Fleet& fleet);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCHEDULE_FAULTS_H_
