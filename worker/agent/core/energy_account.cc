// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/energy_account.h"

#include <algorithm>

namespace wattle::agent {
namespace {

// After work the fan keeps running and the clocks slow down: power in this time is not idle power
// yet.
constexpr absl::Duration kSettleTime = absl::Seconds(3);
// A throttling flag is no evidence about a gap longer than this.
constexpr absl::Duration kThrottlingGapMax = absl::Seconds(10);

bool BelongsToAttempt(Activity activity) {
  switch (activity) {
    case Activity::kFetch:
    case Activity::kStart:
    case Activity::kRun:
    case Activity::kEvaluate:
    case Activity::kCheckpoint:
    case Activity::kUpload:
      return true;
    case Activity::kIdle:
    case Activity::kPaused:
      return false;
  }
  return false;
}

}  // namespace

EnergyAccount::EnergyAccount(const telemetry::MeterSettings& settings, EnergyOrigin origin,
                             Monotonic start, const v1::EnergyLedger& ledger,
                             telemetry::IdleBaseline idle)
    : meter_(settings, start),
      origin_(std::move(origin)),
      passed_(start),
      metered_since_(start - kSettleTime),  // Wattle ran no work before
      ledger_(ledger),
      idle_(idle) {
  Trust();
}

void EnergyAccount::SwitchSource(const telemetry::MeterSettings& settings, EnergyOrigin origin) {
  meter_.Switch(settings);
  origin_ = std::move(origin);
  Trust();
}

void EnergyAccount::Trust() {
  trusted_ = {.attempt = attempt_,
              .idle = idle_,
              .working_peak = working_peak_,
              .resting_peak = resting_peak_};
}

void EnergyAccount::TakeBack() {
  idle_ = trusted_.idle;
  working_peak_ = trusted_.working_peak;
  resting_peak_ = trusted_.resting_peak;
  if (attempt_held_) {
    const Watts price = GapPrice(/*working=*/true);
    const AttemptEnergy& then = trusted_.attempt;
    // The budget counts the estimate of this time, and has already counted its measured part.
    const Joules more = std::max(Joules(0), price * (attempt_.total.covered - then.total.covered) -
                                                (attempt_.total.gross - then.total.gross));
    work_energy_ += more;
    ledger_.set_missing_energy_joules(ledger_.missing_energy_joules() + more.value());
    attempt_.run.TakeBack(then.run, price);
    attempt_.total.TakeBack(then.total, price);
    attempt_.energy = then.energy;
    attempt_.origins = then.origins;
  }
  Trust();
}

void EnergyAccount::SetActivity(Monotonic from, Activity activity) {
  // The past is booked already: a change can only affect time that has not passed.
  from = std::max(from, passed_);
  // Time and energy advance separately, because readings arrive late: each has its own timeline.
  for (std::deque<Change>* timeline : {&changes_, &marks_}) {
    while (!timeline->empty() && timeline->back().from >= from) {
      timeline->pop_back();
    }
    timeline->push_back({from, activity});
  }
  PassTime(passed_);
}

void EnergyAccount::PassTime(Monotonic to) {
  auto pass = [this](Monotonic end) {
    if (attempt_held_ && end > passed_) {
      attempt_.time[static_cast<size_t>(current_)] += end - passed_;
    }
    passed_ = std::max(passed_, end);
  };
  while (!changes_.empty() && changes_.front().from <= to) {
    pass(changes_.front().from);
    current_ = changes_.front().activity;
    changes_.pop_front();
  }
  pass(to);
}

std::vector<Monotonic> EnergyAccount::MarksBefore(Monotonic at) const {
  std::vector<Monotonic> marks;
  for (const Change& mark : marks_) {
    if (mark.from >= at) {
      break;
    }
    marks.push_back(mark.from);
  }
  return marks;
}

Watts EnergyAccount::GapPrice(bool working) const {
  const std::optional<Watts> resting = resting_peak_.power();
  const std::optional<Watts> peak = working ? working_peak_.power() : resting;
  return std::max({peak.value_or(resting.value_or(Watts(0))),
                   working && attempt_held_ ? attempt_.total.peak : Watts(0)});
}

void EnergyAccount::CreditPiece(const telemetry::EnergyIncrement& increment) {
  const bool working = BelongsToAttempt(metered_);
  const Watts price = GapPrice(working);
  if (increment.peak && increment.covered > absl::ZeroDuration()) {
    (working ? working_peak_ : resting_peak_).Add(*increment.peak, increment.covered);
  }
  const double joules = increment.measured.value();
  ledger_.set_missing_energy_joules(ledger_.missing_energy_joules() +
                                    (price * increment.missing).value());
  if (!working) {
    ledger_.set_idle_energy_joules(ledger_.idle_energy_joules() + joules);
  } else {
    ledger_.set_attempt_energy_joules(ledger_.attempt_energy_joules() + joules);
  }
  if (working) {
    work_energy_ += increment.measured + price * increment.missing;
  }
  if (!working || !attempt_held_) {
    return;
  }
  attempt_.total.Add(increment, price);
  attempt_.energy[static_cast<size_t>(metered_)] += increment.measured;
  if (metered_ == Activity::kRun) {
    attempt_.run.Add(increment, price);
  }
  if (increment.covered > absl::ZeroDuration()) {
    auto origin = std::find_if(attempt_.origins.begin(), attempt_.origins.end(),
                               [this](const auto& each) { return each.first == origin_; });
    if (origin == attempt_.origins.end()) {
      origin = attempt_.origins.insert(origin, {origin_, absl::ZeroDuration()});
    }
    origin->second += increment.covered;
  }
}

void EnergyAccount::Credit(const std::vector<telemetry::EnergyIncrement>& increments) {
  for (size_t i = 0; i < increments.size(); ++i) {
    CreditPiece(increments[i]);
    if (i + 1 < increments.size()) {
      const Change mark = marks_.front();
      marks_.pop_front();
      if (metered_ != mark.activity) {
        metered_ = mark.activity;
        metered_since_ = mark.from;
      }
    }
  }
}

void EnergyAccount::LearnIdle(Monotonic at) {
  const bool idle = metered_ == Activity::kIdle && marks_.empty() && changes_.empty();
  if (idle && at - metered_since_ >= kSettleTime && meter_.power()) {
    idle_.Add(*meter_.power());
  }
}

void EnergyAccount::AddPower(Monotonic at, Watts power) {
  PassTime(at);
  const auto increments = meter_.AddPower(at, power, MarksBefore(at));
  Credit(increments);
  if (!increments.empty()) {
    LearnIdle(at);
  }
}

void EnergyAccount::AddCounters(Monotonic at, absl::Span<const telemetry::CounterValue> counters) {
  PassTime(at);
  const auto increments = meter_.AddCounters(at, counters, MarksBefore(at));
  Credit(increments);
  if (!increments.empty()) {
    LearnIdle(at);
  }
}

void EnergyAccount::AdvanceTo(Monotonic at) {
  PassTime(at);
  if (at - meter_.settled() > meter_.patience()) {
    Settle(at);
  }
}

bool EnergyAccount::AwaitsReading(Monotonic at) const {
  return meter_.power().has_value() && meter_.settled() < at &&
         at - meter_.settled() <= meter_.patience();
}

void EnergyAccount::Settle(Monotonic at) {
  PassTime(at);
  Credit(meter_.GiveUp(at, MarksBefore(at)));
}

void EnergyAccount::AddTemperature(Celsius temperature) {
  if (attempt_held_ && BelongsToAttempt(current_)) {
    attempt_.total.AddTemperature(temperature);
    if (current_ == Activity::kRun) {
      attempt_.run.AddTemperature(temperature);
    }
  }
}

void EnergyAccount::AddThrottling(Monotonic at, bool throttled) {
  const std::optional<Monotonic> before = std::exchange(throttling_at_, at);
  if (!before || at <= *before || at - *before > kThrottlingGapMax) {
    return;
  }
  if (attempt_held_ && BelongsToAttempt(current_)) {
    attempt_.total.AddThrottling(at - *before, throttled);
    if (current_ == Activity::kRun) {
      attempt_.run.AddThrottling(at - *before, throttled);
    }
  }
}

void EnergyAccount::BeginAttempt(const AttemptEnergy& energy) {
  attempt_held_ = true;
  attempt_ = energy;
  trusted_.attempt = energy;
}

void EnergyAccount::AddLost(absl::Duration lost) {
  const Watts price = GapPrice(/*working=*/true);
  attempt_.total.Add({.missing = lost}, price);
  attempt_.run.Add({.missing = lost}, price);
  work_energy_ += price * lost;
  attempt_.time[static_cast<size_t>(Activity::kRun)] += lost;
  ledger_.set_missing_energy_joules(ledger_.missing_energy_joules() + (price * lost).value());
}

EnergyOrigin EnergyAccount::AttemptOrigin() const {
  const auto most =
      std::max_element(attempt_.origins.begin(), attempt_.origins.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == attempt_.origins.end() ? origin_ : most->first;
}

v1::EnergyLedger EnergyAccount::ledger() const {
  v1::EnergyLedger ledger = ledger_;
  ledger.set_implausible_readings(implausible_readings());
  return ledger;
}

Joules EnergyAccount::total() const {
  return Joules(ledger_.attempt_energy_joules() + ledger_.idle_energy_joules() +
                ledger_.overhead_energy_joules());
}

v1::EnergyMeasurement ToProto(const telemetry::EnergySpan& span, std::optional<Watts> idle,
                              const EnergyOrigin& origin) {
  v1::EnergyMeasurement out;
  out.set_seconds(absl::ToDoubleSeconds(span.length()));
  out.set_gross_energy_joules(span.gross.value());
  out.set_gross_energy_joules_low(span.Low().value());
  out.set_gross_energy_joules_high(span.High().value());
  out.set_net_energy_joules(span.Net(idle).value());
  out.set_idle_known(idle.has_value());
  out.set_idle_power_watts(idle.value_or(Watts(0)).value());
  out.set_missing_energy_joules(span.missing_at_most.value());
  out.set_coverage_ratio(span.Coverage().value());
  out.set_mean_power_watts(span.MeanPower().value());
  out.set_peak_power_watts(span.peak.value());
  out.set_temperature_celsius_max(span.temperature_max.value_or(Celsius(0)).value());
  if (span.throttled && span.length() > absl::ZeroDuration()) {
    out.set_throttled_ratio(std::min(1.0, absl::FDivDuration(*span.throttled, span.length())));
  }
  out.set_source(origin.source);
  out.set_scope(origin.scope);
  out.set_samples(span.samples);
  return out;
}

telemetry::EnergySpan FromProto(const v1::EnergyMeasurement& measurement) {
  telemetry::EnergySpan span;
  const absl::Duration length = absl::Seconds(measurement.seconds());
  span.covered = length * measurement.coverage_ratio();
  span.missing = length - span.covered;
  span.gross = Joules(measurement.gross_energy_joules());
  span.missing_at_most = Joules(measurement.missing_energy_joules());
  // The energy between samples is kept as an error: slightly too large, never too small.
  span.error = std::max(Joules(0), Joules(measurement.gross_energy_joules_high()) - span.gross);
  span.peak = Watts(measurement.peak_power_watts());
  if (measurement.temperature_celsius_max() != 0) {
    span.temperature_max = Celsius(measurement.temperature_celsius_max());
  }
  if (measurement.has_throttled_ratio()) {
    span.throttled = length * measurement.throttled_ratio();
  }
  span.samples = measurement.samples();
  return span;
}

}  // namespace wattle::agent
