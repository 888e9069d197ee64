// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How the true speed of a board changes while it works: a fan dies, dust gathers, the sun heats it,
// its software is updated. The coordinator is informed only of the software's name. Pure.
#ifndef WATTLE_SIM_TRUE_SPEED_H_
#define WATTLE_SIM_TRUE_SPEED_H_

#include <limits>
#include <string>

#include "units/quantity.h"

namespace wattle::sim {

// Factors multiply the seconds of a step. Times are seconds of the world.
struct SpeedChanges {
  double step_at_seconds = std::numeric_limits<double>::infinity();
  double step = 1.0;
  double drift_per_day = 0.0;  // of the factor's logarithm
  Celsius throttles_from{60.0};
  double throttle = 1.0;
  double software_at_seconds = std::numeric_limits<double>::infinity();
  double software = 1.0;
};

// The factor of the hardware at a moment.
double SlowerBy(const SpeedChanges& changes, double now_seconds, Celsius temperature);

// The engine of the board's software after a moment, once its process restarts.
std::string EngineAt(const SpeedChanges& changes, double now_seconds);

// When the board's speed first changes abruptly; infinity: never.
double ChangesAt(const SpeedChanges& changes);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_TRUE_SPEED_H_
