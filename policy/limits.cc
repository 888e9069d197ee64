// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/limits.h"

namespace wattle::policy {

Limits LimitsOf(const std::vector<const v1::Policy*>& policies) {
  Limits limits;
  for (const v1::Policy* policy : policies) {
    const Fraction reserve(policy->reserve_state_of_charge_ratio());
    if (reserve > Fraction(0)) {
      if (!limits.reserve || reserve > limits.reserve->state_of_charge) {
        limits.reserve = ReserveLimit{reserve, policy->name()};
      }
      if (policy->missing_gauge() == v1::MISSING_GAUGE_REFUSE &&
          limits.refuses_missing_gauge.empty()) {
        limits.refuses_missing_gauge = policy->name();
      }
    }
    const Celsius temperature(policy->max_temperature_celsius());
    if (temperature > Celsius(0) &&
        (!limits.temperature_max || temperature < limits.temperature_max->temperature)) {
      limits.temperature_max = TemperatureLimit{temperature, policy->name()};
    }
  }
  return limits;
}

}  // namespace wattle::policy
