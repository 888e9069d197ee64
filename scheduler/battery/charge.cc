// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/battery/charge.h"

#include <algorithm>

namespace wattle::scheduler {

Fraction ChargeAfter(const BatteryState& battery, Joules demand) {
  return battery.charge - Fraction((battery.committed + demand) / battery.capacity);
}

Joules Shortfall(const BatteryState& battery, Joules demand, Joules margin, Fraction reserve) {
  const Fraction missing = reserve - ChargeAfter(battery, demand + margin);
  return battery.capacity * std::max(0.0, missing.value());
}

Fraction ChargeNeeded(const BatteryState& battery, Joules demand, Joules margin, Fraction reserve) {
  return reserve + Fraction((battery.committed + demand + margin) / battery.capacity);
}

}  // namespace wattle::scheduler
