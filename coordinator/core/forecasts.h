// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Pushed forecasts of the sun, and the trust in them. Pure.
//
// The trust in a forecast follows from its error in the latest four days, compared with the error
// of the mean of the days before at the same hours. Thus a new forecast, or one that was wrong for
// days, changes no plan. A forecast that is pushed again keeps its former values for past hours, so
// that hindsight cannot earn trust.
#ifndef WATTLE_COORDINATOR_CORE_FORECASTS_H_
#define WATTLE_COORDINATOR_CORE_FORECASTS_H_

#include <optional>

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/device.pb.h"

namespace wattle::core {

// Adds the hours of a heartbeat to the known ones, and drops hours older than four days. The first
// heartbeat of a stream carries all four days, so a restarted coordinator trusts forecasts as
// before. A device whose clock was set sends other hours, which replace the known ones.
void KeepHarvest(const v1::RecentHarvest& told, v1::RecentHarvest& known);

// The most trusted of the forecasts that select the device and cover an hour to come; nullopt: none
// is trusted. Among equals, the one pushed last.
std::optional<scheduler::SunForecast> TrustedForecast(const State& state,
                                                      const Observations& observations,
                                                      const v1::DeviceInfo& device, absl::Time now);

// Number of devices that the forecast selects now.
int CountSelected(const State& state, const v1::HarvestForecast& forecast);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_FORECASTS_H_
