// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// State of charge as arithmetic: what a run leaves in a battery. What must be left above a reserve
// is policy/held_back.h. Harvest is not counted: sun that may come keeps no promise. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_BATTERY_CHARGE_H_
#define WATTLE_SCHEDULER_BATTERY_CHARGE_H_

#include "units/quantity.h"

namespace wattle::scheduler {

struct BatteryState {
  Joules capacity;   // REQUIRES: > 0 in the functions below.
  Fraction charge;   // As the gauge says.
  Joules committed;  // Gross draw still expected of the running attempt.
};

// Charge that is left after `demand` gross joules more; below 0: the battery is empty before the
// end.
Fraction ChargeAfter(const BatteryState& battery, Joules demand);

// Joules that are missing for `demand` and `margin` to end at `reserve` or above; 0: it fits.
Joules Shortfall(const BatteryState& battery, Joules demand, Joules margin, Fraction reserve);

// Charge from which on it would fit; above 1: never on this battery.
Fraction ChargeNeeded(const BatteryState& battery, Joules demand, Joules margin, Fraction reserve);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_BATTERY_CHARGE_H_
