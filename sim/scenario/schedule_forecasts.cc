// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/schedule_forecasts.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "coordinator/core/command.h"
#include "sim/coordinator.h"
#include "sim/options.h"
#include "sim/random.h"
#include "sim/scenario/drawn_boards.h"
#include "sim/scenario/submissions.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {
namespace {

constexpr size_t kHoursTold = 2 * kHoursOfDay;
// A forecast exceeds the true brightness of a day by at most this factor.
constexpr double kBrighterMax = 4.0;
// For SeedOf, for the first day.
constexpr uint64_t kForecastStream = 3'000'000;

// The forecast at the begin of a day. All groups are one site: the error of a day is equal for
// each.
core::PushForecast ForecastAt(const Scenario& scenario, const BoardGroup& group, uint64_t seed,
                              size_t day) {
  core::PushForecast push;
  push.by = "scenario";
  v1::HarvestForecast& forecast = push.forecast;
  forecast.set_name(group.name);
  forecast.add_selector(absl::StrCat("group=", group.name));
  forecast.set_first_hour_unix_seconds(absl::ToDoubleSeconds(
      TrueTime(kBeginSeconds + static_cast<double>(day) * kSecondsOfDay) - absl::UnixEpoch()));
  const std::shared_ptr<const std::vector<double>> sun = BoardOf(scenario, group, seed).sun_watts;
  Random random(SeedOf(seed, kForecastStream + day));
  double factor = 1.0;
  const size_t first = day * kHoursOfDay;
  for (size_t hour = first; hour < std::min(first + kHoursTold, sun->size()); ++hour) {
    if (hour % kHoursOfDay == 0) {
      factor = std::min(std::exp(*scenario.forecast_error * DrawNormal(random)), kBrighterMax);
    }
    forecast.add_power_watts((*sun)[hour] * factor);
  }
  return push;
}

}  // namespace

void ScheduleForecasts(const Scenario& scenario, uint64_t seed, EventLoop& loop, Fleet& fleet) {
  if (!scenario.forecast_error.has_value()) {
    return;
  }
  for (const BoardGroup& group : scenario.fleet) {
    if (BoardOf(scenario, group, seed).sun_watts == nullptr) {
      continue;
    }
    for (size_t day = 0; day * kHoursOfDay < scenario.sun.size(); ++day) {
      loop.At(kBeginSeconds + static_cast<double>(day) * kSecondsOfDay,
              [&scenario, &group, &fleet, seed, day] {
                fleet.coordinator().Post(ForecastAt(scenario, group, seed, day),
                                         [](const event_loop::Answer& /*answer*/) {});
              });
    }
  }
}

}  // namespace wattle::sim
