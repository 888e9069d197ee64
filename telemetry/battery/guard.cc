// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/guard.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace wattle::telemetry {
namespace {

// Resume only this much above the stopping point: about a quarter of an hour of sun on a small
// panel, and well above the steps of a whole-percent gauge.
constexpr Fraction kChargeHysteresis(0.03);
constexpr Celsius kTemperatureHysteresis(5.0);
// Where the capacity is not known: a large checkpoint on the smallest battery worth having (10 Wh,
// 2 minutes at 15 W).
constexpr Fraction kUnknownCost(0.05);
// The estimate of a stop's cost comes from steps already made; a longer one may come.
constexpr double kCostFactor = 1.5;

}  // namespace

Fraction StopThreshold(Fraction reserve, const GuardReading& reading, const StopCost& cost) {
  const Joules energy = (cost.longest_step + cost.checkpoint + cost.shutdown) * kCostFactor;
  const Fraction share = reading.capacity && *reading.capacity > Joules(0)
                             ? Fraction(energy / *reading.capacity)
                             : kUnknownCost;
  return reserve + reading.gauge_error + share;
}

std::string Guard::CheckCharge(Fraction reserve, const GuardReading& reading,
                               const StopCost& cost) {
  if (!reading.battery_expected) {
    return "";
  }
  if (!reading.state_of_charge) {
    low_charge_ = true;
    return "battery: no reading, and the policy has a reserve";
  }
  const Fraction stop = StopThreshold(reserve, reading, cost);
  const Fraction resume = stop + kChargeHysteresis;
  low_charge_ = *reading.state_of_charge <= (low_charge_ ? resume : stop);
  if (!low_charge_) {
    return "";
  }
  return absl::StrFormat(
      "battery at %.0f %%, reserve %.0f %% (work stops at %.1f %%, resumes above %.1f %%)",
      100 * reading.state_of_charge->value(), 100 * reserve.value(), 100 * stop.value(),
      100 * resume.value());
}

std::string Guard::CheckTemperature(Celsius limit, const GuardReading& reading) {
  if (!reading.temperature) {
    too_hot_ = false;
    return "";
  }
  const Celsius threshold = too_hot_ ? limit - kTemperatureHysteresis : limit;
  too_hot_ = *reading.temperature > threshold;
  return too_hot_ ? absl::StrFormat("temperature %.1f °C, limit %.1f °C (work resumes at %.1f °C)",
                                    reading.temperature->value(), limit.value(),
                                    (limit - kTemperatureHysteresis).value())
                  : "";
}

const std::string& Guard::Check(const GuardLimits& limits, const GuardReading& reading,
                                const StopCost& cost) {
  reason_.clear();
  if (limits.reserve) {
    reason_ = CheckCharge(*limits.reserve, reading, cost);
  } else {
    low_charge_ = false;
  }
  if (limits.temperature_max) {
    const std::string hot = CheckTemperature(*limits.temperature_max, reading);
    if (reason_.empty()) {
      reason_ = hot;
    }
  } else {
    too_hot_ = false;
  }
  return reason_;
}

}  // namespace wattle::telemetry
