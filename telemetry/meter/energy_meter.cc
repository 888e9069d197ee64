// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/meter/energy_meter.h"

#include <algorithm>
#include <cmath>

namespace wattle::telemetry {
namespace {

constexpr absl::Duration kGapMin = absl::Milliseconds(2500);
constexpr int kGapPeriods = 3;
// Samples for an idle mean: at the usual second each, five seconds and eight minutes.
constexpr int64_t kIdleSamplesMin = 5;
constexpr int64_t kIdleWindow = 500;

}  // namespace

EnergyMeter::EnergyMeter(absl::Duration refresh_period)
    : gap_limit_(std::max(kGapPeriods * refresh_period, kGapMin)) {}

EnergyIncrement EnergyMeter::Missing(absl::Duration length) const {
  return {.missing = length, .missing_at_most = peak_ * length};
}

EnergyIncrement EnergyMeter::Absent(absl::Duration length) const {
  return Missing(std::max(length, absl::ZeroDuration()));
}

EnergyIncrement EnergyMeter::AddPower(Monotonic at, Watts power) {
  if (!std::isfinite(power.value()) || (last_at_ && at <= *last_at_) ||
      (settled_ && at < *settled_)) {
    return {};
  }
  peak_ = std::max(peak_, power);
  EnergyIncrement increment;
  if (last_at_) {
    const absl::Duration length = at - *settled_;
    if (at - *last_at_ > gap_limit_) {
      increment = Missing(length);
    } else {
      const Watts before = edge_since_sample_ ? power : *last_power_;
      increment = {.covered = length,
                   .measured = (before + power) * 0.5 * length,
                   .peak = std::max(before, power)};
    }
  } else if (settled_) {
    // The first sample after a boundary: its own power back to there, if that is near enough.
    const absl::Duration length = at - *settled_;
    increment = length > gap_limit_
                    ? Missing(length)
                    : EnergyIncrement{.covered = length, .measured = power * length, .peak = power};
  }
  increment.samples = 1;
  settled_ = at;
  last_at_ = at;
  last_power_ = power;
  edge_since_sample_ = false;
  return increment;
}

EnergyIncrement EnergyMeter::AddCounter(Monotonic at, Joules value) {
  if (!std::isfinite(value.value()) || (last_at_ && at <= *last_at_) ||
      (settled_ && at < *settled_)) {
    return {};
  }
  EnergyIncrement increment;
  if (last_counter_) {
    const Joules difference = value - *last_counter_;
    const absl::Duration length = at - *settled_;
    if (difference < Joules(0)) {
      increment = Missing(length);
    } else {
      const Watts mean = difference / (at - *last_at_);
      increment = {.covered = length, .measured = difference - counted_ahead_, .peak = mean};
      peak_ = std::max(peak_, mean);
      last_power_ = mean;
    }
  }
  increment.samples = 1;
  counted_ahead_ = Joules(0);
  last_counter_ = value;
  settled_ = at;
  last_at_ = at;
  edge_since_sample_ = false;
  return increment;
}

EnergyIncrement EnergyMeter::Boundary(Monotonic at) {
  if (settled_ && at < *settled_) {
    return {};
  }
  EnergyIncrement increment;
  if (settled_ && at > *settled_) {
    const absl::Duration length = at - *settled_;
    if (last_at_ && last_power_ && (last_counter_ || at - *last_at_ <= gap_limit_)) {
      increment = {.covered = length, .measured = *last_power_ * length, .peak = *last_power_};
      if (last_counter_) {
        counted_ahead_ += increment.measured;
      }
    } else {
      increment = Missing(length);
    }
  }
  settled_ = at;
  edge_since_sample_ = true;
  return increment;
}

void EnergySpan::Add(const EnergyIncrement& increment) {
  covered += increment.covered;
  missing += increment.missing;
  gross += increment.measured;
  missing_at_most += increment.missing_at_most;
  if (increment.peak) {
    peak = std::max(peak, *increment.peak);
  }
  samples += increment.samples;
}

void EnergySpan::AddTemperature(Celsius temperature) {
  temperature_max = temperature_max ? std::max(*temperature_max, temperature) : temperature;
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

void IdleBaseline::Add(Watts power) {
  if (!std::isfinite(power.value())) {
    return;
  }
  samples_ = std::min(samples_ + 1, kIdleWindow);
  mean_ += (power - mean_) / static_cast<double>(samples_);
}

std::optional<Watts> IdleBaseline::power() const {
  return samples_ >= kIdleSamplesMin ? std::optional<Watts>(mean_) : std::nullopt;
}

}  // namespace wattle::telemetry
