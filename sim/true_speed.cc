// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/true_speed.h"

#include <algorithm>
#include <cmath>

namespace wattle::sim {

double SlowerBy(const SpeedChanges& changes, double now_seconds, Celsius temperature) {
  constexpr double kDaySeconds = 86400.0;
  return (now_seconds >= changes.step_at_seconds ? changes.step : 1.0) *
         std::exp(changes.drift_per_day * now_seconds / kDaySeconds) *
         (temperature >= changes.throttles_from ? changes.throttle : 1.0);
}

std::string EngineAt(const SpeedChanges& changes, double now_seconds) {
  return now_seconds >= changes.software_at_seconds ? "wattle-sim 2" : "wattle-sim";
}

double ChangesAt(const SpeedChanges& changes) {
  return std::min(changes.step_at_seconds, changes.software_at_seconds);
}

}  // namespace wattle::sim
