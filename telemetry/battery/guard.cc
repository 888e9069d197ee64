// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/guard.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/fault_point.h"
#include "policy/guard_reason.h"
#include "units/format.h"

namespace wattle::telemetry {
namespace {

constexpr Celsius kTemperatureHysteresis(5.0);
// A limit is near from this distance on before work must stop. Work near a limit draws less. Work
// draws normally again once the charge is twice as far away, or the temperature is low enough for
// stopped work to resume.
constexpr Fraction kNearReserve(0.03);
constexpr Celsius kNearHeat(2.0);
constexpr absl::Duration kWindowHysteresis = absl::Minutes(5);
constexpr char kTimeUnknown[] = "the device does not know the time, and policy ";
// The fastest plausible change of a state of charge is about 4 C, which no battery of a field
// device sustains for long. One step is allowed on top, for gauges that show whole percents or
// update seldom.
constexpr double kChargePerSecondMax = 0.001;
constexpr double kChargeStep = 0.02;

std::string Ago(Monotonic at, Monotonic now) {
  return absl::StrFormat("%.0f s", absl::ToDoubleSeconds(now - at));
}

template <typename Value>
bool IsCurrent(const std::optional<Timed<Value>>& reading, Monotonic now) {
  return reading && now - reading->at <= policy::kReadingAgeMax;
}

}  // namespace

// A gap without readings explains no rise: otherwise the guard would believe a gauge that answers
// with nonsense after an outage at once.
bool Guard::Follows(const Timed<Fraction>& before, const Timed<Fraction>& reading,
                    const Errors& errors) {
  const bool rises = reading.value > before.value;
  const absl::Duration elapsed = reading.at - before.at;
  const absl::Duration counted = rises ? std::min(elapsed, policy::kReadingAgeMax) : elapsed;
  const double allowed = (rises ? errors.up : errors.down).value() + kChargeStep +
                         kChargePerSecondMax * absl::ToDoubleSeconds(counted);
  return std::abs((reading.value - before.value).value()) <= allowed;
}

void Guard::AddCharge(Monotonic at, Fraction state_of_charge, std::optional<Joules> capacity,
                      std::optional<Fraction> error) {
  if ((charge_ && at <= charge_->at) || (suspect_ && at <= suspect_->last.at)) {
    return;
  }
  if (!(state_of_charge >= Fraction(0) && state_of_charge <= Fraction(1))) {
    ++implausible_readings_;
    return;
  }
  if (capacity && *capacity > Joules(0)) {
    capacity_ = capacity;
  }
  const Timed<Fraction> reading = {state_of_charge, at};
  const Fraction reading_error = error.value_or(settings_.gauge_error);
  // A rise lets work start, so the gauge's error does not explain a rise; otherwise one glitch
  // would start work.
  if (!charge_ ||
      Follows(*charge_, reading, {.up = Fraction(0), .down = charge_error_ + reading_error})) {
    charge_ = reading;
    charge_error_ = reading_error;
    suspect_.reset();
    return;
  }
  ++implausible_readings_;
  if (state_of_charge > charge_->value && IsCurrent(charge_, at)) {
    charge_->at = at;  // The charge is surely not below this value.
  }
  // A suspect value must stay plausible from reading to reading, otherwise the gauge is erratic and
  // the hold starts over.
  if (!suspect_ || !Follows(suspect_->last, reading, {2 * reading_error, 2 * reading_error})) {
    suspect_ = Suspect{reading, reading};
    return;
  }
  suspect_->last = reading;
  if (at - suspect_->first.at >= kSuspectHold) {
    charge_error_ = reading_error;
    charge_ = reading;  // the battery was replaced, or the gauge has recalibrated
    suspect_.reset();
  }
}

void Guard::AddTemperature(Monotonic at, Celsius temperature) {
  if (std::isfinite(temperature.value()) && (!temperature_ || at > temperature_->at)) {
    temperature_ = Timed<Celsius>{temperature, at};
  }
}

std::optional<Timed<Fraction>> Guard::Charge(Monotonic now) const {
  return IsCurrent(charge_, now) ? charge_ : std::nullopt;
}

std::optional<Timed<Celsius>> Guard::Temperature(Monotonic now) const {
  return IsCurrent(temperature_, now) ? temperature_ : std::nullopt;
}

void Guard::Strain(bool near, std::string text) {
  if (near && strain_.empty()) {
    strain_ = std::move(text);
  }
}

void Guard::Warn(const std::string& text) {
  absl::StrAppend(&warning_, warning_.empty() ? "" : "; ", text);
}

std::string Guard::CheckCharge(const policy::Limits& limits, const policy::StopEstimate& estimate,
                               const GuardMoment& moment) {
  const Monotonic now = moment.now;
  above_reserve_.reset();
  if (!limits.alive.empty() && !moment.civil.known()) {
    return absl::StrCat(kTimeUnknown, limits.alive.front().policy,
                        " says until when to stay alive");
  }
  // If the idle draw was never measured, the load's draw replaces it, which is more than the board
  // needs to stay alive.
  const Watts idle = moment.idle.value_or(estimate.load);
  // Once one stay-alive time has passed the next one applies, and the floor rises at once.
  std::optional<policy::ReserveLimit> floor = limits.reserve;
  if (!limits.alive.empty() && !WATTLE_FAULT_POINT("stay alive")) {
    floor = policy::HighestChargeFloor(
        limits, moment.civil, moment.time_scale * policy::StopLead(estimate), idle, capacity_);
  }
  if (!limits.alive.empty() && charge_ && !capacity_) {
    Warn(absl::StrCat(
        "policy ", limits.alive.front().policy,
        " says until when to stay alive, and the gauge gives no capacity: this limit is "
        "not guarded"));
  }
  if (!floor && !limits.alive.empty()) {
    floor = policy::ReserveLimit{Fraction(0), limits.alive.front().policy};
  }
  if (!floor) {
    low_charge_ = false;
    return "";
  }
  if (!settings_.has_gauge) {
    if (!limits.refuses_missing_gauge.empty()) {
      return absl::StrCat("policy ", limits.refuses_missing_gauge,
                          " keeps a reserve and refuses devices without a battery gauge, and this "
                          "device has none");
    }
    Warn(absl::StrCat(
        "policy ", floor->policy,
        " keeps a reserve, and this device has no battery gauge: the reserve is not guarded"));
    return "";
  }
  if (!charge_) {
    return absl::StrCat("battery: no reading yet, and policy ", floor->policy, " keeps a reserve");
  }
  if (!IsCurrent(charge_, now)) {
    return absl::StrCat("battery: no plausible reading for ", Ago(charge_->at, now),
                        ", and policy ", floor->policy, " keeps a reserve");
  }
  const Fraction reserve = floor->state_of_charge;
  const policy::Gauge gauge = {.error = charge_error_, .capacity = capacity_};
  const Fraction stop = WATTLE_FAULT_POINT("guard margin")
                            ? reserve
                            : policy::StopThreshold(reserve, gauge, estimate);
  const Fraction resume = policy::ResumeThreshold(stop, gauge, estimate);
  if (capacity_) {
    above_reserve_ = std::max(Joules(0), (charge_->value - stop).value() * *capacity_);
  }
  // Two thresholds prevent that work starts and stops in turn at one charge.
  low_charge_ = charge_->value <= (low_charge_ ? resume : stop);
  near_reserve_ = charge_->value <= stop + (near_reserve_ ? 2.0 : 1.0) * kNearReserve;
  Strain(near_reserve_, absl::StrFormat("battery at %.0f %%, and work stops at %.1f %%",
                                        100 * charge_->value.value(), 100 * stop.value()));
  if (!low_charge_) {
    return "";
  }
  return absl::StrFormat(
      "%s%.0f %%, reserve %.0f %% (work stops at %.1f %%, resumes above %.1f %%)",
      policy::kAtReserve, 100 * charge_->value.value(), 100 * reserve.value(), 100 * stop.value(),
      100 * resume.value());
}

std::string Guard::CheckWindows(const policy::Limits& limits, const policy::StopEstimate& estimate,
                                const GuardMoment& moment) {
  if (limits.windows.empty() || WATTLE_FAULT_POINT("work window")) {
    outside_window_ = false;
    return "";
  }
  if (!moment.civil.known()) {
    return absl::StrCat(kTimeUnknown, limits.windows.front().policy,
                        " says at which times work may run");
  }
  const absl::Duration left = policy::OpenFor(limits.windows, moment.civil);
  // Work that was stopped for the end of a window starts again only if there is enough time for it.
  const absl::Duration needed = moment.time_scale * policy::StopLead(estimate) +
                                (outside_window_ ? kWindowHysteresis : absl::ZeroDuration());
  outside_window_ = left <= needed;
  if (!outside_window_) {
    return "";
  }
  std::string times;
  for (const policy::WindowLimit& limit : limits.windows) {
    absl::StrAppend(&times, times.empty() ? "" : ", and ", policy::Describe(limit), " (policy ",
                    limit.policy, ")");
  }
  return absl::StrCat("work may run ", times,
                      left > absl::ZeroDuration() ? ", and the window closes" : "");
}

std::string Guard::CheckBudget(const policy::Limits& limits, const policy::StopEstimate& estimate,
                               const GuardMoment& moment) {
  if (!limits.budget || WATTLE_FAULT_POINT("daily budget")) {
    over_budget_ = false;
    return "";
  }
  if (!moment.budget_spent) {
    return absl::StrCat(kTimeUnknown, limits.budget->policy, " sets a daily energy budget");
  }
  // The joules until the work has stopped are held back; twice as many after a stop, as hysteresis.
  const Joules margin = (over_budget_ ? 2.0 : 1.0) * policy::HeldBack(estimate);
  over_budget_ = *moment.budget_spent + margin >= limits.budget->per_day;
  if (!over_budget_) {
    return "";
  }
  return absl::StrCat("work has drawn ", FormatEnergy(*moment.budget_spent), " of the day's ",
                      FormatEnergy(limits.budget->per_day), " (policy ", limits.budget->policy, ")",
                      *moment.budget_spent < limits.budget->per_day
                          ? absl::StrCat(", and ", FormatEnergy(margin), " are held back")
                          : "");
}

std::string Guard::CheckTemperature(const policy::Limits& limits, Monotonic now) {
  if (!limits.temperature_max) {
    too_hot_ = false;
    return "";
  }
  const Celsius limit = limits.temperature_max->temperature;
  const Celsius resume = limit - kTemperatureHysteresis;
  const bool current = IsCurrent(temperature_, now);
  if (current) {
    too_hot_ = temperature_->value > (too_hot_ ? resume : limit);
    near_heat_ = temperature_->value > (near_heat_ ? resume : limit - kNearHeat);
    Strain(near_heat_, absl::StrFormat("temperature %.1f °C, and work stops above %.1f °C",
                                       temperature_->value.value(), limit.value()));
    return too_hot_
               ? absl::StrFormat("temperature %.1f °C, limit %.1f °C (work resumes at %.1f °C)",
                                 temperature_->value.value(), limit.value(), resume.value())
               : "";
  }
  // Without a reading a board that was too hot is assumed to stay so.
  if (too_hot_) {
    return absl::StrFormat(
        "temperature was %.1f °C, limit %.1f °C, and the thermometer has given no reading for %s",
        temperature_->value.value(), limit.value(), Ago(temperature_->at, now));
  }
  const std::string demand =
      absl::StrCat("policy ", limits.temperature_max->policy, " limits the temperature");
  if (!settings_.has_thermometer) {
    Warn(absl::StrCat(demand, ", and this device has no thermometer: the limit is not guarded"));
    return "";
  }
  return temperature_ ? absl::StrCat("thermometer: no reading for ", Ago(temperature_->at, now),
                                     ", and ", demand)
                      : absl::StrCat("thermometer: no reading yet, and ", demand);
}

std::string Guard::CheckSupply(Monotonic now) const {
  return under_voltage_at_ && now - *under_voltage_at_ < kUnderVoltageHold
             ? absl::StrCat(policy::kWeakSupply,
                            "the board's supply is too weak for work; work waits until ten minutes "
                            "have passed without it")
             : "";
}

const std::string& Guard::Check(const policy::Limits& limits, const policy::StopEstimate& estimate,
                                const GuardMoment& moment) {
  warning_.clear();
  strain_.clear();
  if (!limits.unreadable.empty()) {
    reason_ = absl::StrCat("the policies of this device cannot be read: ", limits.unreadable);
    return reason_;
  }
  // Every check runs, because each keeps its own hysteresis.
  const std::array<std::string, 5> reasons = {
      CheckSupply(moment.now), CheckCharge(limits, estimate, moment),
      CheckTemperature(limits, moment.now), CheckWindows(limits, estimate, moment),
      CheckBudget(limits, estimate, moment)};
  const auto* const first = std::find_if(reasons.begin(), reasons.end(),
                                         [](const std::string& reason) { return !reason.empty(); });
  reason_ = first == reasons.end() ? "" : *first;
  return reason_;
}

}  // namespace wattle::telemetry
