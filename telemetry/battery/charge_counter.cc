// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/charge_counter.h"

#include <algorithm>
#include <cmath>

namespace wattle::telemetry {
namespace {

// Error of the counted charge: 2 % for the meter and its shunt, and 12 % because the battery may
// hold more or less than its label states. Cells lose a fifth of their capacity over their life.
constexpr double kCountError = 0.14;
// The meter's zero and the battery's own discharge: the capacity in 2,000 h.
constexpr absl::Duration kOffsetTime = absl::Hours(2000);
// Readings come every few seconds at most. Between two that are farther apart any charge may have
// flowed, up to the capacity in four hours, the shortest life of a field device's battery.
constexpr absl::Duration kUnseenMin = absl::Seconds(10);

// A voltage comes to rest as exp(-t / constant), and rest_time is this many constants. After that,
// the last load may still move the voltage by a share of what a resting current may.
constexpr double kRestConstants = 5;
constexpr double kRestShare = 0.2;

}  // namespace

// The voltage is all that is known of a battery without earlier readings. An earlier load may still
// move the voltage in either direction; a present load moves it in one.
void ChargeCounter::Begin(const BatteryCurrent& reading) {
  const Watts rest = reading.rest_drain;
  const double width = (reading.high - reading.low).value();
  // A charging current raises the voltage, so the true charge may be a whole width lower; a
  // discharge lowers it, so the charge may be a whole width higher.
  charge_.low = reading.low.value() - (reading.drain < -rest ? width : 0.5 * width);
  charge_.high = reading.high.value() + (reading.drain > rest ? width : 0.5 * width);
  charge_.low = std::max(charge_.low, 0.0);
  charge_.high = std::min(charge_.high, 1.0);
  loaded_.last = charged_.last = reading.at;
}

void ChargeCounter::Count(const BatteryCurrent& reading) {
  const absl::Duration elapsed = reading.at - standing_->at;
  double moved = 0;
  double error = absl::FDivDuration(elapsed, kOffsetTime);
  if (drain_ && elapsed <= kGapMax) {
    // The trapezoid rule over the time since the last reading.
    moved = -(0.5 * (*drain_ + reading.drain) * elapsed) / reading.capacity;
    // The time at which the load changed between the two readings is unknown.
    error += std::abs(0.5 * ((reading.drain - *drain_) * elapsed) / reading.capacity);
  } else {
    loaded_.last = charged_.last = reading.at;
  }
  if (!drain_ || elapsed > kUnseenMin) {
    error += absl::FDivDuration(elapsed, ChargeCounter::kUnseenTime);
  }
  if (moved > 0) {
    // Between nothing and charge_loss of the inflow is lost: the middle is assumed, and half of the
    // loss is error.
    error += 0.5 * reading.charge_loss * moved;
    moved *= 1 - 0.5 * reading.charge_loss;
  }
  error += kCountError * std::abs(moved);
  charge_.low = std::clamp(charge_.low + moved - error, 0.0, 1.0);
  charge_.high = std::clamp(charge_.high + moved + error, 0.0, 1.0);
}

// Whether an earlier current in one direction still moves the voltage by more than `now` does.
bool ChargeCounter::Stir::Moves(Monotonic at, Watts now, const BatteryCurrent& reading) {
  const Watts rest = reading.rest_drain;
  const double kept = std::exp(-kRestConstants * absl::FDivDuration(at - seen, reading.rest_time));
  // The voltage forgets a current exponentially; a stronger present current replaces the memory.
  strength = std::max(strength * kept, now);
  seen = at;
  if (now > rest) {
    last = at;
  }
  return at - last < reading.rest_time || strength > std::max(now, Watts(0)) + kRestShare * rest;
}

void ChargeCounter::Bound(const BatteryCurrent& reading) {
  const bool charged = charged_.Moves(reading.at, -reading.drain, reading);
  const bool loaded = loaded_.Moves(reading.at, reading.drain, reading);
  // A charge current lifts the voltage, so its lower bound is not valid; a load lowers it, so its
  // upper bound is not.
  const double low = charged ? charge_.low : reading.low.value();
  const double high = loaded ? charge_.high : reading.high.value();
  const double width = charge_.high - charge_.low;
  // The intervals do not meet: the voltage is right, and the interval keeps its width beside the
  // voltage's bound.
  if (low > charge_.high) {
    charge_ = {low, std::max(high, std::min(low + width, 1.0))};
  } else if (high < charge_.low) {
    charge_ = {std::min(low, std::max(high - width, 0.0)), high};
  } else {
    charge_ = {std::max(low, charge_.low), std::min(high, charge_.high)};
  }
}

CountedCharge ChargeCounter::Add(const BatteryCurrent& reading) {
  const bool first = !begun_;
  begun_ = true;
  if (!first && reading.at <= standing_->at) {
    return standing_->charge;
  }
  const bool goes_on = standing_ && standing_->source == reading.source &&
                       standing_->capacity == reading.capacity && standing_->at <= reading.at;
  if (goes_on && first) {
    charge_ = {(standing_->charge.state_of_charge - standing_->charge.error).value(),
               (standing_->charge.state_of_charge + standing_->charge.error).value()};
  }
  if (goes_on) {
    Count(reading);
    Bound(reading);
  } else {
    Begin(reading);
  }
  drain_ = reading.drain;
  standing_ = Standing{.source = reading.source,
                       .capacity = reading.capacity,
                       .charge = {.state_of_charge = Fraction(0.5 * (charge_.low + charge_.high)),
                                  .error = Fraction(0.5 * (charge_.high - charge_.low))},
                       .at = reading.at};
  return standing_->charge;
}

}  // namespace wattle::telemetry
