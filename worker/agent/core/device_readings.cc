// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/device_readings.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/fault_point.h"
#include "telemetry/sensors/voltage_curve.h"
#include "units/format.h"

namespace wattle::agent {
namespace {

using telemetry::Reading;
using telemetry::SourceInfo;

constexpr absl::Duration kImplausibleNotePeriod = absl::Minutes(10);

constexpr absl::Duration kOtherAgeMax = absl::Seconds(10);

// A supply dip is shown for as long as it holds work; most dips are over within seconds and recur.
constexpr absl::Duration kUnderVoltageShown = telemetry::Guard::kUnderVoltageHold;
constexpr char kUnderVoltage[] =
    "under-voltage: the board's supply is too weak; use a stronger one, or a shorter and thicker "
    "cable";

telemetry::Load LoadOf(Activity activity) {
  switch (activity) {
    case Activity::kIdle:
    case Activity::kPaused:
      return telemetry::Load::kRest;
    case Activity::kRun:
    case Activity::kEvaluate:
      return telemetry::Load::kWork;
    case Activity::kFetch:
    case Activity::kStart:
    case Activity::kCheckpoint:
    case Activity::kUpload:
      return telemetry::Load::kUnknown;
  }
  return telemetry::Load::kUnknown;
}

}  // namespace

std::vector<DeviceReadings::Total> DeviceReadings::TotalsOf(const SourceInfo& info,
                                                            const std::vector<Reading>& readings) {
  std::vector<Total> totals;
  for (const Reading& reading : readings) {
    if (!info.channels[reading.channel].in_total) {
      continue;
    }
    if (totals.empty() || totals.back().at != reading.taken_at) {
      totals.push_back({.at = reading.taken_at});
    }
    Total& total = totals.back();
    if (const auto* power = std::get_if<Watts>(&reading.value)) {
      total.power += *power;
      ++total.channels;
    } else if (const auto* count = std::get_if<telemetry::EnergyCount>(&reading.value)) {
      total.counters.push_back({.value = count->value, .modulus = count->modulus});
      ++total.channels;
    }
  }
  const auto wanted = std::count_if(info.channels.begin(), info.channels.end(),
                                    [](const auto& channel) { return channel.in_total; });
  totals.erase(std::remove_if(totals.begin(), totals.end(),
                              [wanted](const Total& total) {
                                return total.channels != static_cast<size_t>(wanted);
                              }),
               totals.end());
  return totals;
}

size_t DeviceReadings::Add(const SourceInfo& info, std::optional<Watts> plausible_max) {
  Entry entry = {.meter = {.cadence = info.cadence,
                           .averages = info.averages,
                           .plausible_max = std::min(info.plausible_max,
                                                     plausible_max.value_or(info.plausible_max)),
                           .error_ratio = info.error_ratio,
                           .error_floor = info.error_floor},
                 .stuck_power = telemetry::StuckPower(info),
                 .stuck_charge = telemetry::StuckCharge(info)};
  if (info.measures_power()) {
    entry.power = power_chooser_.Add(info.rank, info.cadence);
    power_sources_.push_back(entries_.size());
    measures_power_ = true;
  }
  if (info.has_gauge()) {
    entry.gauge = gauge_chooser_.Add(info.gauge_rank, info.cadence);
  }
  entries_.push_back(std::move(entry));
  SourceStatus status = {.info = info};
  status.latest.resize(info.channels.size());
  status_.push_back(std::move(status));
  return entries_.size() - 1;
}

void DeviceReadings::OnPoll(size_t source, const absl::StatusOr<std::vector<Reading>>& readings,
                            Monotonic now) {
  SourceStatus& status = status_[source];
  if (!readings.ok()) {
    ++status.errors;
    if (status.error != readings.status().message()) {
      status.error = std::string(readings.status().message());
      ports_.Note(absl::StrCat("sensor ", status.info.name, ": ", status.error));
    }
    AdvanceTo(now);
    return;
  }
  if (!status.error.empty()) {
    status.error.clear();
    ports_.Note(absl::StrCat("sensor ", status.info.name, ": answers again"));
  }
  status.answered_at = now;
  for (const Reading& reading : *readings) {
    status.latest[reading.channel] = reading;
  }
  if (WATTLE_FAULT_POINT("gap filled") && account_.power() &&
      TotalsOf(status.info, *readings).empty()) {
    account_.AddPower(now, *account_.power());
  }
  TakeTotals(source, *readings);
  TakeRest(source, *readings);
  AdvanceTo(now);
}

void DeviceReadings::TakeTotals(size_t source, const std::vector<Reading>& readings) {
  const Entry& entry = entries_[source];
  if (!entry.power) {
    return;
  }
  for (const Total& total : TotalsOf(status_[source].info, readings)) {
    if (!TrustsPower(source, total)) {
      continue;
    }
    power_chooser_.OnReading(*entry.power, total.at);
    ChoosePower(total.at);
    if (chosen_ != source) {
      continue;
    }
    const int64_t implausible = account_.implausible_readings();
    if (total.counters.empty()) {
      account_.AddPower(total.at, total.power);
    } else {
      account_.AddCounters(total.at, total.counters);
    }
    if (entry.stuck_power.moved()) {
      account_.Trust();
    }
    if (account_.implausible_readings() > implausible) {
      NoteImplausible(source, total.at,
                      total.counters.empty() ? absl::StrFormat("%.1f W", total.power.value())
                                             : "the step of its energy counter");
    }
  }
}

std::optional<telemetry::StuckPower::Other> DeviceReadings::OtherPower(size_t source,
                                                                       Monotonic at) const {
  std::optional<telemetry::StuckPower::Other> best;
  for (const size_t other : power_sources_) {
    const std::optional<telemetry::Timed<Watts>>& told = entries_[other].told;
    const bool better = !best || status_[other].info.rank < status_[best->source].info.rank;
    if (other != source && told && at - told->at <= kOtherAgeMax && better &&
        status_[other].stuck_power.empty()) {
      best = {other, told->value, status_[other].info.error_floor};
    }
  }
  return best;
}

bool DeviceReadings::TrustsPower(size_t source, const Total& total) {
  Entry& entry = entries_[source];
  std::vector<double> value = {total.power.value()};
  Joules sum;
  for (const telemetry::CounterValue& counter : total.counters) {
    value.push_back(counter.value.value());
    sum += counter.value;
  }
  if (total.counters.empty()) {
    entry.told = {total.power, total.at};
  } else {
    if (entry.counted && total.at > entry.counted->at && sum >= entry.counted->value) {
      entry.told = {(sum - entry.counted->value) / (total.at - entry.counted->at), total.at};
    }
    entry.counted = {sum, total.at};
  }
  entry.stuck_power.Add(total.at, std::move(value), LoadOf(account_.activity()),
                        OtherPower(source, total.at));
  const bool stuck = entry.stuck_power.stuck();
  std::string& told = status_[source].stuck_power;
  if (stuck == told.empty()) {
    if (stuck && chosen_ == source) {
      account_.TakeBack();
    }
    SetStuck(source, told,
             stuck ? absl::StrFormat("its power stood still for %.0f s while the load changed; "
                                     "check its wiring and driver, or restart the board",
                                     absl::ToDoubleSeconds(entry.stuck_power.equal_for()))
                   : "");
  }
  return !stuck;
}

bool DeviceReadings::TrustsCharge(size_t source, Monotonic at,
                                  const telemetry::ChargeState& charge) {
  Entry& entry = entries_[source];
  const Joules before = std::exchange(entry.drawn_before, account_.total());
  // Energy from the mains did not leave the battery.
  const bool measured = chosen_ && status_[*chosen_].info.scope != "mains";
  entry.stuck_charge.Add(
      at, charge, measured ? std::optional<Joules>(entry.drawn_before - before) : std::nullopt,
      LoadOf(account_.activity()));
  const bool stuck = entry.stuck_charge.stuck();
  std::string& told = status_[source].stuck_charge;
  if (stuck == told.empty()) {
    SetStuck(source, told,
             stuck
                 ? absl::StrFormat("its charge stood at %.1f %% for %.0f s while at least %s left "
                                   "the battery; check the gauge, or restart the board",
                                   100 * charge.state_of_charge.value(),
                                   absl::ToDoubleSeconds(entry.stuck_charge.equal_for()),
                                   FormatEnergy(entry.stuck_charge.least_out()))
                 : "");
  }
  return !stuck;
}

void DeviceReadings::SetStuck(size_t source, std::string& stuck, const std::string& why) {
  const std::string& name = status_[source].info.name;
  ports_.Note(why.empty() ? absl::StrCat("sensor ", name, ": moves again, and is used again")
                          : absl::StrCat("sensor ", name,
                                         ": is stuck, and not used until it moves: ", why));
  stuck = why;
  TellWarning();
}

void DeviceReadings::TellWarning() {
  std::string warning = under_voltage_at_ ? kUnderVoltage : "";
  for (const SourceStatus& status : status_) {
    for (const std::string& each : {status.stuck_power, status.stuck_charge}) {
      if (!each.empty()) {
        absl::StrAppend(&warning, warning.empty() ? "" : "; ", "sensor ", status.info.name,
                        " is stuck: ", each);
      }
    }
  }
  core_.SetSensorWarning(warning);
}

void DeviceReadings::NoteImplausible(size_t source, Monotonic at, const std::string& value) {
  std::optional<Monotonic>& noted = entries_[source].implausible_noted_at;
  if (noted && at - *noted < kImplausibleNotePeriod) {
    return;
  }
  noted = at;
  ports_.Note(absl::StrCat("sensor ", status_[source].info.name, ": ", value,
                           " is nothing that this device can have drawn; it is not counted"));
}

void DeviceReadings::TakeUnderVoltage(Monotonic at, bool now) {
  const bool shown = under_voltage_at_.has_value();
  if (now) {
    under_voltage_at_ = at;
    core_.OnUnderVoltage(at);
  } else if (shown && at - *under_voltage_at_ >= kUnderVoltageShown) {
    under_voltage_at_.reset();
  }
  if (shown != under_voltage_at_.has_value()) {
    ports_.Note(under_voltage_at_ ? kUnderVoltage : "no under-voltage for ten minutes");
    TellWarning();
  }
}

void DeviceReadings::TakeRest(size_t source, const std::vector<Reading>& readings) {
  Entry& entry = entries_[source];
  std::optional<telemetry::Timed<Celsius>> hottest;
  for (const Reading& reading : readings) {
    if (const auto* temperature = std::get_if<Celsius>(&reading.value)) {
      if (!hottest || *temperature > hottest->value) {
        hottest = {*temperature, reading.taken_at};
        entry.throttles_at = status_[source].info.channels[reading.channel].throttles_at;
      }
    } else if (const auto* charge = std::get_if<telemetry::ChargeState>(&reading.value)) {
      if (!TrustsCharge(source, reading.taken_at, *charge)) {
        continue;
      }
      gauge_chooser_.OnReading(*entry.gauge, reading.taken_at);
      if (gauge_chooser_.Choose(reading.taken_at) == entry.gauge) {
        TakeCharge(status_[source].info, reading.taken_at, *charge);
      }
    } else if (const auto* throttling = std::get_if<telemetry::Throttling>(&reading.value)) {
      account_.AddThrottling(reading.taken_at, throttling->now);
    } else if (const auto* supply = std::get_if<telemetry::UnderVoltage>(&reading.value)) {
      TakeUnderVoltage(reading.taken_at, supply->now);
    }
  }
  if (!hottest) {
    return;
  }
  entry.hottest = hottest;
  // The hottest of all sources with a recent reading.
  telemetry::Timed<Celsius> device = *hottest;
  std::optional<Celsius> throttles_at = entry.throttles_at;
  for (const Entry& other : entries_) {
    if (other.hottest && device.at - other.hottest->at <= policy::kReadingAgeMax &&
        other.hottest->value > device.value) {
      device.value = other.hottest->value;
      throttles_at = other.throttles_at;
    }
  }
  core_.OnTemperature(device.at, device.value, throttles_at);
}

void DeviceReadings::TakeCharge(const SourceInfo& info, Monotonic at,
                                const telemetry::ChargeState& charge) {
  if (!charge.by_voltage || !charge.capacity || !charge.draw) {
    core_.OnCharge(at, charge.state_of_charge, charge.capacity, charge.draw, info.gauge_error);
    return;
  }
  const telemetry::VoltageBounds& bounds = *charge.by_voltage;
  core_.OnBatteryCurrent({.at = at,
                          .source = info.name,
                          .capacity = *charge.capacity,
                          .drain = bounds.drain,
                          .rest_drain = telemetry::RestDrain(*charge.capacity),
                          .low = bounds.low,
                          .high = bounds.high,
                          .rest_time = bounds.rest_time,
                          .charge_loss = bounds.charge_loss},
                         *charge.draw);
}

void DeviceReadings::ChoosePower(Monotonic now) {
  const std::optional<size_t> number = power_chooser_.Choose(now);
  if (!number || chosen_ == power_sources_[*number]) {
    return;  // while no source answers, the last one stays, and its time is missing
  }
  if (chosen_) {
    status_[*chosen_].is_power_source = false;
    ports_.Note(absl::StrCat("energy: measured by ", status_[power_sources_[*number]].info.name,
                             " instead of ", status_[*chosen_].info.name));
  }
  chosen_ = power_sources_[*number];
  SourceStatus& status = status_[*chosen_];
  status.is_power_source = true;
  account_.SwitchSource(entries_[*chosen_].meter, {status.info.energy_source, status.info.scope});
}

void DeviceReadings::AdvanceTo(Monotonic now) {
  if (measures_power_) {
    ChoosePower(now);
    return;
  }
  if (const std::optional<Watts> predicted = core_.PredictedPower()) {
    account_.AddPower(now, *predicted);
  }
}

}  // namespace wattle::agent
