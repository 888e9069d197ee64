// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Forecasts of the sun that somebody pushes, and how far they are trusted. Pure.
//
// A forecast is trusted by what it said of the latest four days before they came: against its error
// stands the error of the mean of the days before, of the same hours. So a forecast that is new, or
// was wrong for days, moves no plan. A forecast that is pushed again keeps what it said of hours
// that are over; nobody can say afterwards what they had known.
#ifndef WATTLE_COORDINATOR_CORE_FORECASTS_H_
#define WATTLE_COORDINATOR_CORE_FORECASTS_H_

#include <optional>

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/device.pb.h"

namespace wattle::core {

// Adds the hours that a heartbeat told to those that are known, and drops the oldest beyond four
// days. The first heartbeat of a stream tells all four days, so a coordinator that starts anew
// trusts forecasts as the one before did. A device whose clock was set tells other hours: they
// replace what was known.
void KeepHarvest(const v1::RecentHarvest& told, v1::RecentHarvest& known);

// Of the forecasts that select the device and have an hour to come the most trusted one; nullopt:
// none is trusted. Among equals the one pushed last.
std::optional<scheduler::SunForecast> TrustedForecast(const State& state,
                                                      const Observations& observations,
                                                      const v1::DeviceInfo& device, absl::Time now);

// How many devices of the fleet the forecast selects now.
int CountSelected(const State& state, const v1::HarvestForecast& forecast);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_FORECASTS_H_
