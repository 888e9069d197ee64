// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/energy_account.h"

#include <algorithm>
#include <variant>

namespace wattle::agent {
namespace {

// After work the fan runs on and clocks come down: what is drawn then is not idle yet.
constexpr absl::Duration kSettleTime = absl::Seconds(3);

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
    case Activity::kWaitForHost:
      return false;
  }
  return false;
}

}  // namespace

EnergyAccount::EnergyAccount(absl::Duration refresh_period, Monotonic start,
                             const v1::EnergyLedger& ledger, telemetry::IdleBaseline idle)
    : meter_(refresh_period),
      settled_(start),
      current_since_(start - kSettleTime),  // nothing of ours ran before
      ledger_(ledger),
      idle_(idle) {}

void EnergyAccount::SetActivity(Monotonic from, Activity activity) {
  from = std::max(from, settled_);
  while (!changes_.empty() && changes_.back().from >= from) {
    changes_.pop_back();
  }
  changes_.push_back({from, activity});
  if (from == settled_) {
    AdvanceTo(from);
  }
}

void EnergyAccount::PassTime(Monotonic to) {
  if (attempt_held_ && to > settled_) {
    attempt_.time[static_cast<size_t>(current_)] += to - settled_;
  }
  settled_ = std::max(settled_, to);
}

void EnergyAccount::Credit(const telemetry::EnergyIncrement& increment) {
  const double joules = increment.measured.value();
  ledger_.set_missing_energy_joules(ledger_.missing_energy_joules() +
                                    increment.missing_at_most.value());
  if (BelongsToAttempt(current_)) {
    ledger_.set_attempt_energy_joules(ledger_.attempt_energy_joules() + joules);
    if (attempt_held_) {
      attempt_.total.Add(increment);
      if (current_ == Activity::kRun) {
        attempt_.run.Add(increment);
      }
    }
  } else if (current_ == Activity::kWaitForHost) {
    ledger_.set_overhead_energy_joules(ledger_.overhead_energy_joules() + joules);
  } else {
    ledger_.set_idle_energy_joules(ledger_.idle_energy_joules() + joules);
  }
}

void EnergyAccount::AdvanceTo(Monotonic at) {
  while (!changes_.empty() && changes_.front().from <= at) {
    const Change change = changes_.front();
    changes_.pop_front();
    Credit(meter_.Boundary(change.from));
    PassTime(change.from);
    if (current_ != change.activity) {
      current_ = change.activity;
      current_since_ = change.from;
    }
  }
  if (at > settled_) {
    Credit(meter_.Boundary(at));
    PassTime(at);
  }
}

void EnergyAccount::AddReading(Monotonic at, const telemetry::PowerReading& reading) {
  while (!changes_.empty() && changes_.front().from <= at) {
    AdvanceTo(changes_.front().from);
  }
  if (at < settled_) {
    return;
  }
  Credit(std::holds_alternative<Watts>(reading) ? meter_.AddPower(at, std::get<Watts>(reading))
                                                : meter_.AddCounter(at, std::get<Joules>(reading)));
  PassTime(at);
  if (current_ == Activity::kIdle && at - current_since_ >= kSettleTime && meter_.power()) {
    idle_.Add(*meter_.power());
  }
}

void EnergyAccount::AddTemperature(Celsius temperature) {
  if (attempt_held_ && BelongsToAttempt(current_)) {
    attempt_.total.AddTemperature(temperature);
    if (current_ == Activity::kRun) {
      attempt_.run.AddTemperature(temperature);
    }
  }
}

void EnergyAccount::BeginAttempt(const AttemptEnergy& energy) {
  attempt_held_ = true;
  attempt_ = energy;
}

void EnergyAccount::AddLost(absl::Duration lost) {
  // Priced at the highest power seen, the attempt's own from before included.
  telemetry::EnergyIncrement increment = meter_.Absent(lost);
  increment.missing_at_most = std::max(increment.missing_at_most, attempt_.total.peak * lost);
  attempt_.total.Add(increment);
  attempt_.run.Add(increment);
  attempt_.time[static_cast<size_t>(Activity::kRun)] += lost;
  ledger_.set_missing_energy_joules(ledger_.missing_energy_joules() +
                                    increment.missing_at_most.value());
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
  out.set_net_energy_joules(span.Net(idle).value());
  out.set_idle_known(idle.has_value());
  out.set_idle_power_watts(idle.value_or(Watts(0)).value());
  out.set_missing_energy_joules(span.missing_at_most.value());
  out.set_coverage_ratio(span.Coverage().value());
  out.set_mean_power_watts(span.MeanPower().value());
  out.set_peak_power_watts(span.peak.value());
  out.set_temperature_celsius_max(span.temperature_max.value_or(Celsius(0)).value());
  if (span.length() > absl::ZeroDuration()) {
    out.set_throttled_ratio(absl::FDivDuration(span.throttled, span.length()));
  }
  out.set_source(ToProto(origin.source));
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
  span.peak = Watts(measurement.peak_power_watts());
  if (measurement.temperature_celsius_max() != 0) {
    span.temperature_max = Celsius(measurement.temperature_celsius_max());
  }
  span.throttled = length * measurement.throttled_ratio();
  span.samples = measurement.samples();
  return span;
}

v1::EnergySource ToProto(telemetry::EnergySource source) {
  switch (source) {
    case telemetry::EnergySource::kIna3221:
      return v1::ENERGY_SOURCE_INA3221;
    case telemetry::EnergySource::kPmic:
      return v1::ENERGY_SOURCE_PMIC;
    case telemetry::EnergySource::kPowerSupply:
      return v1::ENERGY_SOURCE_POWER_SUPPLY;
    case telemetry::EnergySource::kRapl:
      return v1::ENERGY_SOURCE_RAPL;
    case telemetry::EnergySource::kIna2xx:
      return v1::ENERGY_SOURCE_INA2XX;
    case telemetry::EnergySource::kSmartPlug:
      return v1::ENERGY_SOURCE_SMART_PLUG;
    case telemetry::EnergySource::kNvml:
      return v1::ENERGY_SOURCE_NVML;
    case telemetry::EnergySource::kModel:
      return v1::ENERGY_SOURCE_MODEL;
    case telemetry::EnergySource::kEmulated:
      return v1::ENERGY_SOURCE_EMULATED;
  }
  return v1::ENERGY_SOURCE_UNSPECIFIED;
}

}  // namespace wattle::agent
