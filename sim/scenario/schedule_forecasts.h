// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Somebody pushes a forecast of the sun each midnight, as `wattle forecast push` does.
#ifndef WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_
#define WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_

#include <cstdint>
#include <functional>

#include "coordinator/core/command.h"
#include "sim/event_loop.h"
#include "sim/scenario/scenario.h"

namespace wattle::sim {

// The forecast of a group has its name, and tells the true sun of the present day and the next one,
// as wrong as the scenario says. A run knows no sun of later days. Nothing without
// Scenario::forecast_error. scenario and loop: must outlive the run.
void ScheduleForecasts(const Scenario& scenario, uint64_t seed, EventLoop& loop,
                       const std::function<void(const core::PushForecast&)>& push);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCHEDULE_FORECASTS_H_
