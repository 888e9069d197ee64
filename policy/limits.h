// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the owner's policies demand of one device. Planner, guard and simulation read policies with
// this function alone, so that they can never disagree. Pure; thread-safe.
#ifndef WATTLE_POLICY_LIMITS_H_
#define WATTLE_POLICY_LIMITS_H_

#include <optional>
#include <string>
#include <vector>

#include "units/quantity.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::policy {

struct ReserveLimit {
  Fraction state_of_charge{};
  std::string policy{};  // whose demand it is
};

struct TemperatureLimit {
  Celsius temperature{};
  std::string policy{};
};

struct Limits {
  std::optional<ReserveLimit> reserve{};
  std::optional<TemperatureLimit> temperature_max{};
  // The policy with a reserve that refuses a device without a battery gauge; empty: none does, and
  // such a device works with a warning.
  std::string refuses_missing_gauge{};
  // Why the policies could not be read; empty: they were. A device whose limits are not known takes
  // no work: they may be any.
  std::string unreadable{};
};

// The strictest demand of each kind. policies: those that select the device.
Limits LimitsOf(const std::vector<const v1::Policy*>& policies);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_LIMITS_H_
