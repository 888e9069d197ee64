// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/forecasts.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/message_checks_internal.h"
#include "policy/selector.h"
#include "scheduler/battery/clear_sky.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/sun/sun_outlook.h"
#include "scheduler/timetable/amounts.h"

namespace wattle::core {
namespace {

using timetable::kHour;
using timetable::Milliwatts;

constexpr int64_t kHoursKept = 96;
constexpr int64_t kHoursOfDay = 24;
constexpr int64_t kHourMax = 1'000'000'000;  // No clock has a later hour.
// Hours with sun that are compared before a forecast is trusted at all.
constexpr int64_t kComparedMin = 8;
constexpr int64_t kOne = 1000;  // Trust is in thousandths.
// The next days may differ from the latest ones, so no forecast is trusted entirely.
constexpr int64_t kTrustMax = 900;
// A forecast this many times above everything that a device has seen uses another unit.
constexpr double kOtherUnit = 200;
// A pack fills in hours, never in less than three minutes.
constexpr double kFillsAnHourMax = 20;
// Shares of a day's brightest hour: the limit of night, and of certain sun.
constexpr double kNightShare = 1.0 / 64;
constexpr double kSunShare = 1.0 / 8;

int64_t HourOf(double unix_seconds) {
  return static_cast<int64_t>(unix_seconds) / kHour;
}

int64_t FirstHour(const v1::HarvestForecast& forecast) {
  return HourOf(forecast.first_hour_unix_seconds());
}

int64_t EndHour(const v1::HarvestForecast& forecast) {
  return FirstHour(forecast) + forecast.power_watts_size();
}

std::string HourText(int64_t hour) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::UnixEpoch() + absl::Hours(hour),
                          absl::UTCTimeZone());
}

// "forecast.power_watts[3]: 18.4 W at 2026-11-26T23:00:00Z": the client can map the index to a
// line.
std::string ValueText(const v1::HarvestForecast& forecast, int index) {
  return absl::StrFormat("forecast.power_watts[%d]: %g W at %s", index, forecast.power_watts(index),
                         HourText(FirstHour(forecast) + index));
}

std::optional<double> WattsIn(const v1::RecentHarvest& known, int64_t hour) {
  const int64_t size = known.power_watts_size();
  if (hour > known.last_hour() || known.last_hour() - hour >= size) {
    return std::nullopt;
  }
  const double watts = known.power_watts(static_cast<int>(size - 1 - (known.last_hour() - hour)));
  return watts >= 0 && Watts(watts) < scheduler::kPowerMax ? std::optional(watts) : std::nullopt;
}

std::optional<double> WattsIn(const v1::HarvestForecast& forecast, int64_t hour) {
  return hour < FirstHour(forecast) || hour >= EndHour(forecast)
             ? std::nullopt
             : std::optional(forecast.power_watts(static_cast<int>(hour - FirstHour(forecast))));
}

// The expectation for a past hour from the days before, each with half the weight of the next.
std::optional<double> BeforeIn(const v1::RecentHarvest& known, int64_t hour) {
  double sum = 0;
  double weights = 0;
  for (int64_t days = 1; days * kHoursOfDay < kHoursKept; ++days) {
    if (const auto watts = WattsIn(known, hour - days * kHoursOfDay); watts.has_value()) {
      const double weight = 1.0 / static_cast<double>(int64_t{1} << days);
      sum += weight * *watts;
      weights += weight;
    }
  }
  return weights > 0 ? std::optional(sum / weights) : std::nullopt;
}

// Trust in thousandths; 0 for a forecast that was never tested.
int64_t TrustIn(const v1::HarvestForecast& forecast, const v1::RecentHarvest& known) {
  double forecast_error = 0;
  double history_error = 0;
  int64_t compared = 0;
  for (int64_t hour = known.last_hour() - kHoursKept + 1; hour <= known.last_hour(); ++hour) {
    const std::optional<double> came = WattsIn(known, hour);
    const std::optional<double> said = WattsIn(forecast, hour);
    const std::optional<double> before = BeforeIn(known, hour);
    if (came.has_value() && said.has_value() && before.has_value() &&
        std::max({*came, *said, *before}) > 0) {
      forecast_error += std::abs(*said - *came);
      history_error += std::abs(*before - *came);
      ++compared;
    }
  }
  if (compared < kComparedMin || history_error <= 0) {
    return 0;
  }
  const double ratio = forecast_error / history_error;
  return std::min(kTrustMax, static_cast<int64_t>(kOne / (1 + ratio * ratio)));
}

// Whether a device has seen each hour of a day.
bool HasSeenADay(const v1::EnergyLedger& ledger) {
  const auto& hours = ledger.harvest_power_watts_by_hour();
  return hours.size() == kHoursOfDay &&
         std::all_of(hours.begin(), hours.end(), [](double watts) { return watts >= 0; }) &&
         *std::max_element(hours.begin(), hours.end()) > 0;
}

// Whether the device never sees sun in this hour of the day, nor in the hours around it.
bool IsNightFor(const v1::EnergyLedger& ledger, int64_t hour) {
  const auto& hours = ledger.harvest_power_watts_by_hour();
  const double night = kNightShare * *std::max_element(hours.begin(), hours.end());
  for (const int64_t around : {hour - 1, hour, hour + 1}) {
    if (hours.Get(static_cast<int>(around % kHoursOfDay)) > night) {
      return false;
    }
  }
  return true;
}

// Compares the forecast with the sun that one of its selected devices has seen.
class DeviceCheck {
 public:
  DeviceCheck(const State& state, const v1::DeviceRecord& device)
      : ledger_(device.ledger()), info_(device.info()) {
    std::vector<v1::Policy> policies;
    for (const auto& [name, policy] : state.policies) {
      policies.push_back(policy);
    }
    place_ = scheduler::LimitsFor(policies, info_).place;
  }

  [[nodiscard]] absl::Status Check(const v1::HarvestForecast& forecast) const {
    const auto& hours = forecast.power_watts();
    const auto brightest =
        static_cast<int>(std::max_element(hours.begin(), hours.end()) - hours.begin());
    WATTLE_RETURN_IF_ERROR(CheckUnit(forecast, brightest));
    for (int hour = 0; hour < hours.size(); ++hour) {
      if (hours.Get(hour) > kSunShare * hours.Get(brightest) &&
          IsNight(FirstHour(forecast) + hour)) {
        return absl::InvalidArgumentError(
            absl::StrCat(ValueText(forecast, hour), ", when it is night for device ", info_.name(),
                         "; want 0 W at night, and each time with its offset from UTC"));
      }
    }
    return absl::OkStatus();
  }

 private:
  [[nodiscard]] bool IsNight(int64_t hour) const {
    return (place_.has_value() && scheduler::ClearHourOf(*place_, hour).is_night()) ||
           (HasSeenADay(ledger_) && IsNightFor(ledger_, hour));
  }

  [[nodiscard]] absl::Status CheckUnit(const v1::HarvestForecast& forecast, int brightest) const {
    const double watts = forecast.power_watts(brightest);
    const double capacity_wh = info_.battery_capacity_wh();
    if (capacity_wh > 0 && watts > kFillsAnHourMax * capacity_wh) {
      return absl::InvalidArgumentError(absl::StrCat(
          ValueText(forecast, brightest), " would fill the ", capacity_wh, " Wh of device ",
          info_.name(), " in ", absl::StrFormat("%.2g", 60 * capacity_wh / watts),
          " min; want watts into each device's battery, not those of a whole site"));
    }
    if (!HasSeenADay(ledger_)) {
      return absl::OkStatus();
    }
    const auto& hours = ledger_.harvest_power_watts_by_hour();
    const double seen = *std::max_element(hours.begin(), hours.end());
    const bool too_much = watts > kOtherUnit * seen;
    if (too_much || (watts > 0 && watts < seen / kOtherUnit)) {
      return absl::InvalidArgumentError(
          absl::StrCat(ValueText(forecast, brightest), " is the brightest hour, and device ",
                       info_.name(), " has seen ", absl::StrFormat("%.3g", seen),
                       " W; want watts, not ", too_much ? "milliwatts" : "kilowatts"));
    }
    return absl::OkStatus();
  }

  const v1::EnergyLedger& ledger_;
  const v1::DeviceInfo& info_;
  std::optional<v1::Place> place_;
};

// The forecast after its predecessor's values for the hours before the present one.
v1::HarvestForecast Joined(const v1::HarvestForecast* before, v1::HarvestForecast pushed,
                           int64_t hour_now) {
  const int64_t first = std::max(FirstHour(pushed), hour_now);
  std::vector<double> watts;
  int64_t begin = first;
  if (before != nullptr && EndHour(*before) >= first) {
    begin = std::min(first, std::max({FirstHour(*before), hour_now - kHoursKept,
                                      EndHour(pushed) - kForecastHoursMax}));
    for (int64_t hour = begin; hour < first; ++hour) {
      watts.push_back(*WattsIn(*before, hour));
    }
  }
  for (int64_t hour = first; hour < EndHour(pushed); ++hour) {
    watts.push_back(*WattsIn(pushed, hour));
  }
  pushed.mutable_power_watts()->Assign(watts.begin(), watts.end());
  pushed.set_first_hour_unix_seconds(static_cast<double>(begin * kHour));
  return pushed;
}

absl::Status CheckPush(const State& state, const v1::HarvestForecast& forecast, int64_t hour_now) {
  WATTLE_RETURN_IF_ERROR(ValidateForecast(forecast));
  if (EndHour(forecast) <= hour_now) {
    return absl::InvalidArgumentError(
        absl::StrCat(ValueText(forecast, forecast.power_watts_size() - 1),
                     " is the last hour and is over; want a forecast of hours to come, it is ",
                     HourText(hour_now)));
  }
  for (const auto& [id, device] : state.devices) {
    if (!device.removed() && policy::Selects(forecast, device.info())) {
      WATTLE_RETURN_IF_ERROR(DeviceCheck(state, device).Check(forecast));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void KeepHarvest(const v1::RecentHarvest& told, v1::RecentHarvest& known) {
  const int64_t size = told.power_watts_size();
  const bool is_known = told.last_hour() == known.last_hour() && size <= known.power_watts_size();
  if (size == 0 || size > kHoursKept || told.last_hour() < size || told.last_hour() > kHourMax ||
      is_known) {
    return;
  }
  const int64_t first = told.last_hour() - size + 1;
  v1::RecentHarvest joined;
  joined.set_last_hour(told.last_hour());
  const bool follows = known.last_hour() < told.last_hour() && known.last_hour() + 1 >= first;
  for (int64_t hour = told.last_hour() - kHoursKept + 1; follows && hour < first; ++hour) {
    if (const auto watts = WattsIn(known, hour);
        watts.has_value() || joined.power_watts_size() > 0) {
      joined.add_power_watts(static_cast<float>(watts.value_or(-1)));
    }
  }
  joined.mutable_power_watts()->MergeFrom(told.power_watts());
  known = std::move(joined);
}

std::optional<scheduler::SunForecast> TrustedForecast(const State& state,
                                                      const Observations& observations,
                                                      const v1::DeviceInfo& device,
                                                      absl::Time now) {
  const auto seen = observations.devices.find(DeviceId(device.device_id()));
  if (seen == observations.devices.end()) {
    return std::nullopt;
  }
  const int64_t hour_now = absl::ToUnixSeconds(now) / kHour;
  const v1::HarvestForecast* best = nullptr;
  int64_t trust = 0;
  for (const auto& [name, forecast] : state.forecasts) {
    if (EndHour(forecast) <= hour_now || !policy::Selects(forecast, device)) {
      continue;
    }
    const int64_t of_this = TrustIn(forecast, seen->second.harvest);
    if (of_this > trust || (of_this == trust && of_this > 0 &&
                            forecast.pushed_unix_seconds() > best->pushed_unix_seconds())) {
      best = &forecast;
      trust = of_this;
    }
  }
  if (best == nullptr) {
    return std::nullopt;
  }
  scheduler::SunForecast trusted;
  trusted.name = best->name();
  trusted.first_hour = FirstHour(*best);
  trusted.trust = trust;
  for (const double watts : best->power_watts()) {
    trusted.power.push_back(timetable::MilliwattsDown(Watts(watts)));
  }
  return trusted;
}

int CountSelected(const State& state, const v1::HarvestForecast& forecast) {
  int selected = 0;
  for (const auto& [id, record] : state.devices) {
    selected += !record.removed() && policy::Selects(forecast, record.info()) ? 1 : 0;
  }
  return selected;
}

void Decide(DecisionBuilder& builder, const PushForecast& command) {
  const int64_t hour_now = absl::ToUnixSeconds(builder.now().wall) / kHour;
  if (const absl::Status valid = CheckPush(builder.state(), command.forecast, hour_now);
      !valid.ok()) {
    builder.Refuse(valid);
    return;
  }
  builder.decision().id = command.forecast.name();
  v1::HarvestForecast forecast =
      Joined(builder.state().forecasts.Find(command.forecast.name()), command.forecast, hour_now);
  forecast.set_pushed_unix_seconds(absl::ToDoubleSeconds(builder.now().wall - absl::UnixEpoch()));
  forecast.set_pushed_by(command.by);
  *builder.Add().mutable_forecast_pushed()->mutable_forecast() = std::move(forecast);
}

void Decide(DecisionBuilder& builder, const RemoveForecast& command) {
  if (!builder.state().forecasts.contains(command.name)) {
    builder.Refuse(absl::NotFoundError(
        absl::StrCat("no forecast \"", command.name, "\"; 'wattle forecast ls' lists them")));
    return;
  }
  builder.Add().mutable_forecast_removed()->set_name(command.name);
}

void Applier::On(const v1::ForecastPushed& event) {
  state_.forecasts.Mutable(event.forecast().name()) = event.forecast();
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::ForecastRemoved& event) {
  state_.forecasts.erase(event.name());
  effects_.emplace_back(QueueChanged{});
}

}  // namespace wattle::core
