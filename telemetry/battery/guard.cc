// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/guard.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/fault_point.h"

namespace wattle::telemetry {
namespace {

// Work resumes only this much above the stopping point: about a quarter of an hour of sun on a
// small panel, and well above the steps of a whole-percent gauge.
constexpr Fraction kChargeHysteresis(0.03);
constexpr Celsius kTemperatureHysteresis(5.0);
// The fastest that a state of charge can move: about 4 C, which no battery of a field device bears
// for long. A step on top, for gauges that show whole percents or update seldom.
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

// Two readings may each be off by the gauge's error, in opposite directions.
bool Guard::Follows(const Timed<Fraction>& before, Monotonic at, Fraction charge) const {
  const double allowed = 2 * settings_.gauge_error.value() + kChargeStep +
                         kChargePerSecondMax * absl::ToDoubleSeconds(at - before.at);
  return std::abs((charge - before.value).value()) <= allowed;
}

void Guard::AddCharge(Monotonic at, Fraction state_of_charge, std::optional<Joules> capacity) {
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
  if (!charge_ || Follows(*charge_, at, state_of_charge)) {
    charge_ = reading;
    suspect_.reset();
    return;
  }
  ++implausible_readings_;
  if (!suspect_ || !Follows(suspect_->last, at, state_of_charge)) {
    suspect_ = Suspect{reading, reading};
    return;
  }
  suspect_->last = reading;
  if (at - suspect_->first.at >= kSuspectHold) {
    charge_ = reading;  // the battery was changed, or the gauge has learned
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

void Guard::Warn(const std::string& text) {
  absl::StrAppend(&warning_, warning_.empty() ? "" : "; ", text);
}

std::string Guard::CheckCharge(const policy::Limits& limits, const policy::StopEstimate& estimate,
                               Monotonic now) {
  if (!limits.reserve) {
    low_charge_ = false;
    return "";
  }
  if (!settings_.has_gauge) {
    if (!limits.refuses_missing_gauge.empty()) {
      return absl::StrCat("policy ", limits.refuses_missing_gauge,
                          " keeps a reserve and refuses devices without a battery gauge, and this "
                          "device has none");
    }
    Warn(absl::StrCat("policy ", limits.reserve->policy,
                      " keeps a reserve, and this device has no battery gauge: it is not guarded"));
    return "";
  }
  if (!charge_) {
    return absl::StrCat("battery: no reading yet, and policy ", limits.reserve->policy,
                        " keeps a reserve");
  }
  if (!IsCurrent(charge_, now)) {
    return absl::StrCat("battery: no plausible reading for ", Ago(charge_->at, now),
                        ", and policy ", limits.reserve->policy, " keeps a reserve");
  }
  const Fraction reserve = limits.reserve->state_of_charge;
  const Fraction stop =
      WATTLE_FAULT_POINT("guard margin")
          ? reserve
          : policy::StopThreshold(reserve, {.error = settings_.gauge_error, .capacity = capacity_},
                                  estimate);
  const Fraction resume = stop + kChargeHysteresis;
  low_charge_ = charge_->value <= (low_charge_ ? resume : stop);
  if (!low_charge_) {
    return "";
  }
  return absl::StrFormat(
      "battery at %.0f %%, reserve %.0f %% (work stops at %.1f %%, resumes above %.1f %%)",
      100 * charge_->value.value(), 100 * reserve.value(), 100 * stop.value(),
      100 * resume.value());
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
    return too_hot_
               ? absl::StrFormat("temperature %.1f °C, limit %.1f °C (work resumes at %.1f °C)",
                                 temperature_->value.value(), limit.value(), resume.value())
               : "";
  }
  if (too_hot_) {
    return absl::StrFormat(
        "temperature was %.1f °C, limit %.1f °C, and the thermometer tells nothing since %s",
        temperature_->value.value(), limit.value(), Ago(temperature_->at, now));
  }
  const std::string demand =
      absl::StrCat("policy ", limits.temperature_max->policy, " limits the temperature");
  if (!settings_.has_thermometer) {
    Warn(absl::StrCat(demand, ", and this device has no thermometer: it is not guarded"));
    return "";
  }
  return temperature_ ? absl::StrCat("thermometer: no reading for ", Ago(temperature_->at, now),
                                     ", and ", demand)
                      : absl::StrCat("thermometer: no reading yet, and ", demand);
}

const std::string& Guard::Check(const policy::Limits& limits, const policy::StopEstimate& estimate,
                                Monotonic now) {
  warning_.clear();
  if (!limits.unreadable.empty()) {
    reason_ = absl::StrCat("the policies of this device are not known: ", limits.unreadable);
    return reason_;
  }
  const std::string charge = CheckCharge(limits, estimate, now);
  const std::string temperature = CheckTemperature(limits, now);
  reason_ = charge.empty() ? temperature : charge;
  return reason_;
}

}  // namespace wattle::telemetry
