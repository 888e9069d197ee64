// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The battery guard's arithmetic. The promise: above idle draw, no joule is spent on Wattle's work
// once the true state of charge is at the reserve. Work therefore stops while the reading is still
// above the reserve by a margin = gauge error + what may be spent before the work has really
// stopped (longest step, checkpoint, shutdown). It starts again only with more than that, so that
// it does not flap. The same for temperature. Pure; one thread owns an object.
#ifndef WATTLE_TELEMETRY_BATTERY_GUARD_H_
#define WATTLE_TELEMETRY_BATTERY_GUARD_H_

#include <optional>
#include <string>

#include "units/quantity.h"

namespace wattle::telemetry {

// What the owner demands. The strictest of several policies.
struct GuardLimits {
  std::optional<Fraction> reserve{};  // of the state of charge
  std::optional<Celsius> temperature_max{};
};

// What work can still cost after it was told to stop.
struct StopCost {
  Joules longest_step{};
  Joules checkpoint{};
  Joules shutdown{};
};

struct GuardReading {
  std::optional<Fraction> state_of_charge{};  // absent: no battery, or no reading
  bool battery_expected = false;              // there is a battery: a lost reading is no licence
  Fraction gauge_error{};
  std::optional<Joules> capacity{};
  std::optional<Celsius> temperature{};
};

// Reserve + margin, as a state of charge that the reading must be above for work to go on. Without
// a known capacity the cost is a fixed share of it.
Fraction StopThreshold(Fraction reserve, const GuardReading& reading, const StopCost& cost);

class Guard {
 public:
  // Whether work may go on (or start). Empty: yes; else the reason, for people. Changes only when a
  // threshold with hysteresis is crossed.
  const std::string& Check(const GuardLimits& limits, const GuardReading& reading,
                           const StopCost& cost);
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  std::string CheckCharge(Fraction reserve, const GuardReading& reading, const StopCost& cost);
  std::string CheckTemperature(Celsius limit, const GuardReading& reading);

  bool low_charge_ = false;
  bool too_hot_ = false;
  std::string reason_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_BATTERY_GUARD_H_
