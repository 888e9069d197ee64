// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Pushes a forecast of the sun each midnight, like `wattle forecast push`.
#ifndef WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_
#define WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_

#include <cstdint>

#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/scenario/scenario.h"

namespace wattle::sim {

// The forecast of a group has its name, and contains the sun of the present day and the next one,
// with the scenario's error. The sun of later days is unknown. A forecast that the coordinator
// refuses has no effect. Does nothing without Scenario::forecast_error. scenario, loop and fleet:
// must outlive the run.
void ScheduleForecasts(const Scenario& scenario, uint64_t seed, EventLoop& loop, Fleet& fleet);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_
