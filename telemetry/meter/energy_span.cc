// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/meter/energy_span.h"

#include <algorithm>
#include <cmath>

namespace wattle::telemetry {

void EnergySpan::Add(const EnergyIncrement& increment, Watts gap_price) {
  covered += increment.covered;
  missing += increment.missing;
  missing_at_most += gap_price * increment.missing;
  gross += increment.measured;
  error += increment.error;
  variance += increment.variance;
  if (increment.peak) {
    peak = std::max(peak, *increment.peak);
  }
  samples += increment.samples;
}

void EnergySpan::TakeBack(const EnergySpan& then, Watts gap_price) {
  const absl::Duration lost = covered - then.covered;
  missing += lost;
  missing_at_most += gap_price * lost;
  covered = then.covered;
  gross = then.gross;
  error = then.error;
  variance = then.variance;
  peak = then.peak;
  samples = then.samples;
}

void EnergySpan::AddTemperature(Celsius temperature) {
  temperature_max = temperature_max ? std::max(*temperature_max, temperature) : temperature;
}

void EnergySpan::AddThrottling(absl::Duration length, bool throttled_then) {
  throttled =
      throttled.value_or(absl::ZeroDuration()) + (throttled_then ? length : absl::ZeroDuration());
}

Joules EnergySpan::Net(std::optional<Watts> idle) const {
  return idle ? std::max(gross - *idle * covered, Joules(0)) : gross;
}

Fraction EnergySpan::Coverage() const {
  return length() > absl::ZeroDuration() ? Fraction(absl::FDivDuration(covered, length()))
                                         : Fraction(1.0);
}

Watts EnergySpan::MeanPower() const {
  return covered > absl::ZeroDuration() ? gross / covered : Watts(0);
}

Joules EnergySpan::Low() const {
  return std::max(Joules(0), gross - error - Joules(3 * std::sqrt(variance)));
}

Joules EnergySpan::High() const {
  return gross + error + Joules(3 * std::sqrt(variance));
}

}  // namespace wattle::telemetry
