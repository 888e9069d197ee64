// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matches labels, and finds the strictest policy.
#include "scheduler/place/rules/selector.h"

#include <algorithm>

#include "scheduler/predict/predict.h"
#include "scheduler/profiles/probe.h"

namespace wattle::scheduler {
namespace {

// The gauge error of a worker that reports none: fuel gauges are off by a few percent.
constexpr Fraction kUnknownGaugeError(0.02);

}  // namespace

policy::Limits LimitsFor(const std::vector<v1::Policy>& policies, const v1::DeviceInfo& device) {
  return policy::LimitsOf(policy::Selecting(policies, device));
}

bool HasGauge(const v1::Device& device) {
  return device.info().has_battery_gauge() || device.info().battery_capacity_wh() > 0 ||
         device.heartbeat().has_battery();
}

policy::Gauge GaugeOf(const v1::Device& device) {
  const v1::DeviceInfo& info = device.info();
  policy::Gauge gauge = {.error = Fraction(info.gauge_error_ratio())};
  if (device.heartbeat().has_battery() && device.heartbeat().gauge_error_ratio() > 0) {
    gauge.error = Fraction(device.heartbeat().gauge_error_ratio());
  }
  if (gauge.error <= Fraction(0)) {
    gauge.error = kUnknownGaugeError;
  }
  if (info.battery_capacity_wh() > 0) {
    gauge.capacity = FromWattHours(info.battery_capacity_wh());
  }
  return gauge;
}

Joules GrossDemand(const v1::Prediction& prediction, Joules run_energy) {
  const double around_joules = MarginalEnergyJoules(prediction) - prediction.net_energy_joules();
  return run_energy + Joules(around_joules + prediction.idle_power_watts() *
                                                 TotalSeconds(prediction, /*run_seconds=*/0));
}

Joules ProbeDemand(const v1::Prediction& prediction) {
  const double before_seconds = prediction.fetch_seconds() + prediction.start_seconds();
  const double run_seconds = std::min(kProbeSecondsMax, prediction.run_seconds().mean());
  return Joules(prediction.fetch_energy_joules() + prediction.start_energy_joules() +
                prediction.idle_power_watts() * before_seconds +
                prediction.mean_power_watts() * run_seconds);
}

}  // namespace wattle::scheduler
