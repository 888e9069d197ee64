// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Somebody pushes a forecast of the sun each midnight, as `wattle forecast push` does.
#ifndef WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_
#define WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_

#include <cstdint>

#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/scenario/scenario.h"

namespace wattle::sim {

// The forecast of a group has its name, and tells the true sun of the present day and the next one,
// as wrong as the scenario says. A run knows no sun of later days. One that the coordinator refuses
// is as if nobody told it. Nothing without Scenario::forecast_error. scenario, loop and fleet: must
// outlive the run.
void ScheduleForecasts(const Scenario& scenario, uint64_t seed, EventLoop& loop, Fleet& fleet);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_
