// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Arithmetic of the state of charge: how much charge a run leaves in a battery. policy/held_back.h
// says how much must stay above a reserve. Harvest does not count, because sun is never certain.
// Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_BATTERY_CHARGE_H_
#define WATTLE_SCHEDULER_BATTERY_CHARGE_H_

#include "units/quantity.h"

namespace wattle::scheduler {

struct BatteryState {
  Joules capacity;   // REQUIRES: > 0 in the functions below.
  Fraction charge;   // The gauge's reading.
  Joules committed;  // Gross joules that the running attempt is still expected to draw.
};

// Charge that is left after `demand` more gross joules. Below 0: the battery is empty before the
// run ends.
Fraction ChargeAfter(const BatteryState& battery, Joules demand);

// The joules that the battery lacks so that `demand` and `margin` leave at least `reserve`; 0:
// none.
Joules Shortfall(const BatteryState& battery, Joules demand, Joules margin, Fraction reserve);

// The lowest charge at which `demand` and `margin` leave `reserve`; above 1: this battery is too
// small.
Fraction ChargeNeeded(const BatteryState& battery, Joules demand, Joules margin, Fraction reserve);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_BATTERY_CHARGE_H_
