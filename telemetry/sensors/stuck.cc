// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/stuck.h"

#include <algorithm>
#include <utility>

namespace wattle::telemetry {
namespace {

// Equal readings needed on each side, also from a slow source.
constexpr int kReadings = 10;
constexpr absl::Duration kPowerGapMax = absl::Seconds(10);
constexpr int kGapCadences = 3;
// A clear move of another source: by a quarter, and by more than both errors can make.
constexpr double kClearShare = 0.25;
constexpr Watts kClearMin(2.0);
constexpr double kClearErrors = 3;

// Steps of charge that must flow before an equal value is stuck. A gauge of whole percents keeps an
// equal value through one step; it may also run slow in places, and its battery may hold more than
// the label states.
constexpr double kStepsToMove = 1.4;
constexpr Fraction kPercent(0.01);
// Lower bound of the flow as a share of the measured one: the meter's gain and offset errors, in
// the battery's favour.
constexpr double kLeastShare = 0.95;
constexpr Watts kOffset(0.1);
// A panel may supply all but one part in this many of the load without being measured, at a time of
// day when it nearly carries the whole load.
constexpr double kSunShare = 12;
constexpr Fraction kNearlyFull(0.95);
constexpr Fraction kFull(0.995);
// A longer time between two readings of a gauge counts no flow.
constexpr absl::Duration kChargeGapMax = absl::Minutes(2);

}  // namespace

StuckPower::StuckPower(const SourceInfo& info)
    : steady_(std::max(info.steady_max, kReadings * info.cadence)),
      gap_(std::max(kGapCadences * info.cadence, kPowerGapMax)),
      error_floor_(info.error_floor) {}

void StuckPower::Add(Monotonic at, std::vector<double> value, Load load,
                     const std::optional<Other>& other) {
  if (!value_.empty() && at <= last_at_) {
    return;
  }
  moved_ = value != value_;
  if (moved_) {
    value_ = std::move(value);
    since_ = at;
    at_rest_ = at_work_ = other_near_ = other_far_ = absl::ZeroDuration();
    other_ = other;
  } else if (const absl::Duration passed = at - last_at_; passed <= gap_) {
    if (load == load_ && load != Load::kUnknown) {
      (load == Load::kWork ? at_work_ : at_rest_) += passed;
    }
    Compare(other, passed);
  }
  last_at_ = at;
  load_ = load;
}

void StuckPower::Compare(const std::optional<Other>& other, absl::Duration passed) {
  if (!other) {
    return;
  }
  if (!other_ || other_->source != other->source) {
    other_ = other;
    other_near_ = other_far_ = absl::ZeroDuration();
    return;
  }
  const Watts step = std::max(other->power, other_->power) - std::min(other->power, other_->power);
  const Watts clear = std::max(
      {kClearShare * other_->power, kClearMin, kClearErrors * (error_floor_ + other->error_floor)});
  (step > clear ? other_far_ : other_near_) += passed;
}

bool StuckPower::stuck() const {
  return (at_rest_ >= steady_ && at_work_ >= steady_) ||
         (other_near_ >= steady_ && other_far_ >= steady_);
}

StuckCharge::StuckCharge(const SourceInfo& info)
    : step_(info.charge_step), error_(info.gauge_error), draw_(info) {}

Joules StuckCharge::LeastOut(const ChargeState& charge, const std::optional<Joules>& drawn,
                             absl::Duration passed) const {
  if (charge.draw && last_->draw) {
    const Watts draw = std::min(*charge.draw, *last_->draw);
    return draw <= Watts(0) ? draw * passed
                            : std::max(Joules(0), kLeastShare * draw * passed - kOffset * passed);
  }
  if (!drawn || (!charge.discharging && charge.state_of_charge >= kNearlyFull)) {
    return Joules(0);
  }
  const Joules least = std::max(Joules(0), kLeastShare * *drawn - kOffset * passed);
  return charge.discharging && !charged_ ? least : least / kSunShare;
}

void StuckCharge::Add(Monotonic at, const ChargeState& charge, const std::optional<Joules>& drawn,
                      Load load) {
  if (last_ && at <= last_at_) {
    return;
  }
  // Without a gauge the charge follows from a voltage, which stands still at rest and on a flat
  // curve; so the current must stand still too.
  const bool equal = last_ && last_->state_of_charge == charge.state_of_charge &&
                     (!charge.by_voltage || last_->draw == charge.draw);
  charged_ = charged_ || charge.charging || charge.draw.value_or(Watts(0)) < Watts(0);
  if (!equal) {
    since_ = at;
    last_step_ = charge.draw || stuck() ? Joules(0) : out_;
    out_ = Joules(0);
  } else if (charge.charging && !charge.draw) {
    out_ = Joules(0);  // the inflow is unknown
  } else if (at - last_at_ <= kChargeGapMax) {
    out_ = std::max(Joules(0), out_ + LeastOut(charge, drawn, at - last_at_));
  }
  // A current of exactly 0, and that of a full battery, are a charger's business.
  const Watts draw = charge.draw.value_or(Watts(0));
  const bool free = draw != Watts(0) && charge.state_of_charge < kFull;
  draw_.Add(at, {charge.state_of_charge.value(), draw.value()}, free ? load : Load::kUnknown,
            std::nullopt);
  last_ = charge;
  last_at_ = at;
}

bool StuckCharge::stuck() const {
  if (!last_ || last_->state_of_charge <= Fraction(0)) {
    return false;
  }
  // A full battery may hold more than its gauge can show.
  const Fraction step = last_->by_voltage ? kPercent : step_;
  const Fraction hidden =
      kStepsToMove * step + (last_->state_of_charge >= kFull ? error_ : Fraction(0));
  return draw_.stuck() || (last_->capacity && out_ > std::max(hidden.value() * *last_->capacity,
                                                              kStepsToMove * last_step_));
}

}  // namespace wattle::telemetry
