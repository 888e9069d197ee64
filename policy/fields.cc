// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/fields.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "base/status_macros.h"
#include "policy/heartbeat_interval.h"
#include "policy/limits.h"
#include "policy/schedule.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::policy {
namespace {

using Zone = absl::StatusOr<absl::TimeZone>;

constexpr double kYearSeconds = 366.0 * 24 * 3600;
constexpr int kWindowsMax = 24;

// "07:00" with the zone of the policy. Only the zone's name is read, because the coordinator may
// have zones that this machine lacks.
std::string WithZone(const v1::Policy& policy, absl::string_view time) {
  return absl::StrCat(time, policy.time_zone().empty()
                                ? Describe(absl::FixedTimeZone(60 * policy.utc_offset_minutes()))
                                : " " + policy.time_zone());
}

std::string ReserveText(const v1::Policy& policy) {
  const Fraction reserve(policy.reserve_state_of_charge_ratio());
  return reserve == Fraction(0) ? "" : FormatPercent(reserve);
}

absl::Status TightenReserve(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  const Fraction reserve(policy.reserve_state_of_charge_ratio());
  if (reserve > Fraction(0) && (!limits.reserve || reserve > limits.reserve->state_of_charge)) {
    limits.reserve = ReserveLimit{reserve, policy.name()};
  }
  return absl::OkStatus();
}

std::string PowerOffText(const v1::Policy& policy) {
  const Fraction charge(policy.power_off_state_of_charge_ratio());
  return charge == Fraction(0) ? "" : FormatPercent(charge);
}

absl::Status CheckPowerOff(const v1::Policy& policy) {
  const double charge = policy.power_off_state_of_charge_ratio();
  const double reserve = policy.reserve_state_of_charge_ratio();
  return charge > 0 && charge >= reserve
             ? absl::InvalidArgumentError(absl::StrCat(
                   "policy.power_off_state_of_charge_ratio: ", charge,
                   ", wanted less than the same policy's reserve_state_of_charge_ratio, ", reserve,
                   ": work stops there first"))
             : absl::OkStatus();
}

absl::Status TightenPowerOff(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  const Fraction charge(policy.power_off_state_of_charge_ratio());
  if (charge > Fraction(0) && (!limits.power_off || charge < limits.power_off->state_of_charge)) {
    limits.power_off = ReserveLimit{charge, policy.name()};
  }
  return absl::OkStatus();
}

std::string TemperatureText(const v1::Policy& policy) {
  const Celsius temperature(policy.max_temperature_celsius());
  return temperature == Celsius(0) ? "" : FormatTemperature(temperature);
}

absl::Status TightenTemperature(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  const Celsius temperature(policy.max_temperature_celsius());
  if (temperature > Celsius(0) &&
      (!limits.temperature_max || temperature < limits.temperature_max->temperature)) {
    limits.temperature_max = TemperatureLimit{temperature, policy.name()};
  }
  return absl::OkStatus();
}

std::string BudgetText(const v1::Policy& policy) {
  const Joules budget = FromWattHours(policy.daily_energy_budget_wh());
  return budget == Joules(0) ? "" : FormatEnergy(budget);
}

absl::Status TightenBudget(const v1::Policy& policy, const Zone& zone, Limits& limits) {
  WATTLE_RETURN_IF_ERROR(zone.status());
  const Joules budget = FromWattHours(policy.daily_energy_budget_wh());
  if (budget > Joules(0) && (!limits.budget || budget < limits.budget->per_day)) {
    limits.budget = BudgetLimit{budget, *zone, policy.name()};
  }
  return absl::OkStatus();
}

using Windows = google::protobuf::RepeatedPtrField<std::string>;

std::string WindowsText(const v1::Policy& policy) {
  return policy.work_windows().empty()
             ? ""
             : WithZone(policy, absl::StrJoin(policy.work_windows(), ", "));
}

absl::Status CheckWindowsOf(absl::string_view field, const Windows& windows) {
  if (windows.size() > kWindowsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", windows.size(), " entries: want at most ", kWindowsMax));
  }
  for (const std::string& window : windows) {
    WATTLE_RETURN_IF_ERROR(WithContext(field, ParseDailyWindow(window).status()));
  }
  return absl::OkStatus();
}

absl::Status CheckWindows(const v1::Policy& policy) {
  return CheckWindowsOf("policy.work_windows", policy.work_windows());
}

absl::Status AddWindows(const v1::Policy& policy, const Windows& windows, const Zone& zone,
                        std::vector<WindowLimit>& limits) {
  WATTLE_RETURN_IF_ERROR(zone.status());
  if (windows.empty()) {
    return absl::OkStatus();
  }
  absl::Status status;
  WindowLimit limit = {.zone = *zone, .policy = policy.name()};
  for (const std::string& text : windows) {
    const auto window = ParseDailyWindow(text);
    if (window.ok()) {
      limit.windows.push_back(*window);
    } else {
      status = window.status();
    }
  }
  limits.push_back(std::move(limit));
  return status;
}

absl::Status TightenWindows(const v1::Policy& policy, const Zone& zone, Limits& limits) {
  return AddWindows(policy, policy.work_windows(), zone, limits.windows);
}

std::string LinkText(const v1::Policy& policy) {
  const v1::LinkLimits& link = policy.link();
  std::vector<std::string> parts;
  if (link.bytes_per_day() > 0) {
    parts.push_back(absl::StrCat(FormatBytes(link.bytes_per_day()), " a day"));
  }
  if (!link.windows().empty()) {
    parts.push_back("artifacts " + WithZone(policy, absl::StrJoin(link.windows(), ", ")));
  }
  return absl::StrJoin(parts, ", ");
}

absl::Status CheckLink(const v1::Policy& policy) {
  const int64_t bytes = policy.link().bytes_per_day();
  if (bytes != 0 && (bytes < kLinkBytesPerDayMin || bytes > kLinkBytesPerDayMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat("policy.link.bytes_per_day: ", bytes, ": want 0 for no limit, or ",
                     kLinkBytesPerDayMin, " to ", kLinkBytesPerDayMax,
                     " bytes: with fewer the device could not even say that it is there"));
  }
  return CheckWindowsOf("policy.link.windows", policy.link().windows());
}

absl::Status TightenLink(const v1::Policy& policy, const Zone& zone, Limits& limits) {
  if (const int64_t bytes = policy.link().bytes_per_day();
      bytes > 0 && (!limits.link_bytes_per_day || bytes < *limits.link_bytes_per_day)) {
    limits.link_bytes_per_day = bytes;
  }
  return AddWindows(policy, policy.link().windows(), zone, limits.link_windows);
}

std::string AliveText(const v1::Policy& policy) {
  const std::string& until = policy.stay_alive_until();
  const bool is_moment = until.size() > 5;
  return until.empty() || is_moment ? until : WithZone(policy, until);
}

absl::Status CheckAlive(const v1::Policy& policy) {
  return policy.stay_alive_until().empty()
             ? absl::OkStatus()
             : WithContext("policy.stay_alive_until",
                           ParseAliveTime(policy.stay_alive_until()).status());
}

absl::Status TightenAlive(const v1::Policy& policy, const Zone& zone, Limits& limits) {
  WATTLE_RETURN_IF_ERROR(zone.status());
  if (policy.stay_alive_until().empty()) {
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(const AliveTime until, ParseAliveTime(policy.stay_alive_until()));
  limits.alive.push_back({until, *zone, policy.name()});
  return absl::OkStatus();
}

std::string RiskText(const v1::Policy& policy) {
  return policy.sun_risk_ratio() == 0.0 ? ""
                                        : absl::StrFormat("%.3g %%", 100 * policy.sun_risk_ratio());
}

absl::Status TightenRisk(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  const double risk = policy.sun_risk_ratio();
  if (risk > 0.0 && (!limits.sun_risk || risk < *limits.sun_risk)) {
    limits.sun_risk = risk;
  }
  return absl::OkStatus();
}

std::string PlaceText(const v1::Policy& policy) {
  return policy.has_place() ? absl::StrFormat("%.4g N %.4g E", policy.place().latitude_degrees(),
                                              policy.place().longitude_degrees())
                            : "";
}

absl::Status CheckPlace(const v1::Policy& policy) {
  const auto check = [](absl::string_view field, double degrees, int most) {
    return std::abs(degrees) <= most
               ? absl::OkStatus()
               : absl::InvalidArgumentError(absl::StrCat("policy.place.", field, ": is ", degrees,
                                                         "; want -", most, " to ", most));
  };
  WATTLE_RETURN_IF_ERROR(check("latitude_degrees", policy.place().latitude_degrees(), 90));
  return check("longitude_degrees", policy.place().longitude_degrees(), 180);
}

absl::Status TightenPlace(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  if (policy.has_place() && !limits.place) {
    limits.place = policy.place();
  }
  return absl::OkStatus();
}

std::string PatienceText(const v1::Policy& policy) {
  return policy.has_patience_ratio_per_hour()
             ? absl::StrFormat("%.3g %%", 100 * policy.patience_ratio_per_hour())
             : "";
}

absl::Status TightenPatience(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  if (policy.has_patience_ratio_per_hour()) {
    limits.patience_ratio_per_hour =
        std::max(limits.patience_ratio_per_hour.value_or(0), policy.patience_ratio_per_hour());
  }
  return absl::OkStatus();
}

std::string ExplorationText(const v1::Policy& policy) {
  return policy.has_exploration_ratio()
             ? absl::StrFormat("%.3g %%", 100 * policy.exploration_ratio())
             : "";
}

absl::Status TightenExploration(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  if (policy.has_exploration_ratio()) {
    limits.exploration_ratio =
        std::min(limits.exploration_ratio.value_or(1), policy.exploration_ratio());
  }
  return absl::OkStatus();
}

std::string GroupText(const v1::Policy& policy) {
  const v1::PowerGroup& group = policy.power_group();
  return !policy.has_power_group()
             ? ""
             : absl::StrCat(
                   group.name(), group.shared_pack() ? ", one pack" : "",
                   group.power_cap_watts() > 0
                       ? absl::StrCat(", at most ", FormatPower(Watts(group.power_cap_watts())))
                       : "");
}

absl::Status CheckGroup(const v1::Policy& policy) {
  constexpr double kCapMax = 1e5;
  constexpr size_t kNameMax = 80;
  if (!policy.has_power_group()) {
    return absl::OkStatus();
  }
  const v1::PowerGroup& group = policy.power_group();
  if (group.name().empty() || group.name().size() > kNameMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("policy.power_group.name: ", group.name().empty() ? "missing" : "too long",
                     "; want 1 to ", kNameMax, " characters"));
  }
  if (!(group.power_cap_watts() >= 0 && group.power_cap_watts() <= kCapMax)) {
    return absl::InvalidArgumentError(absl::StrCat("policy.power_group.power_cap_watts: is ",
                                                   group.power_cap_watts(),
                                                   "; valid is 0 to 100000 watts"));
  }
  return group.shared_pack() || group.power_cap_watts() > 0
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrCat("policy.power_group: ", group.name(),
                                " shares nothing; give shared_pack: true or power_cap_watts"));
}

// Policies that put a device into two groups, or name two caps of one, are refused when they are
// applied; if a device's labels combine such policies, the device takes no work.
absl::Status TightenGroup(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  if (!policy.has_power_group()) {
    return absl::OkStatus();
  }
  const v1::PowerGroup& group = policy.power_group();
  const std::optional<Watts> cap =
      group.power_cap_watts() > 0 ? std::optional(Watts(group.power_cap_watts())) : std::nullopt;
  if (!limits.power_group) {
    limits.power_group = PowerGroupLimit{.name = group.name(), .policy = policy.name()};
  }
  PowerGroupLimit& known = *limits.power_group;
  if (known.name != group.name()) {
    return absl::InvalidArgumentError(
        absl::StrCat("power_group: ", group.name(), " is a second group beside ", known.name));
  }
  if (known.cap && cap && *known.cap != *cap) {
    return absl::InvalidArgumentError(
        absl::StrCat("power_group: ", group.name(), " has two values of power_cap_watts"));
  }
  known.shared_pack |= group.shared_pack();
  if (cap && !known.cap) {
    known.cap = cap;
    known.policy = policy.name();
  }
  return absl::OkStatus();
}

std::string LossText(const v1::Policy& policy) {
  return policy.loss_seconds_max() == 0.0 ? ""
                                          : FormatElapsed(absl::Seconds(policy.loss_seconds_max()));
}

// Writing a checkpoint to a board's card takes at least a second.
constexpr double kLossSecondsMin = 1.0;

absl::Status CheckLoss(const v1::Policy& policy) {
  const double loss = policy.loss_seconds_max();
  if (loss > 0.0 && loss < kLossSecondsMin) {
    return absl::InvalidArgumentError(
        absl::StrCat("policy.loss_seconds_max: ", loss, ": want 0 for no limit, or ",
                     kLossSecondsMin, " or more device seconds: no checkpoint is written in less"));
  }
  return absl::OkStatus();
}

absl::Status TightenLoss(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  const absl::Duration loss = absl::Seconds(policy.loss_seconds_max());
  if (loss > absl::ZeroDuration() && (!limits.loss_max || loss < *limits.loss_max)) {
    limits.loss_max = loss;
  }
  return absl::OkStatus();
}

std::string FlashText(const v1::Policy& policy) {
  return policy.flash_bytes_per_day() == 0.0
             ? ""
             : FormatBytes(static_cast<int64_t>(policy.flash_bytes_per_day()));
}

absl::Status TightenFlash(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  const double bytes = policy.flash_bytes_per_day();
  if (bytes > 0.0 && (!limits.flash_bytes_per_day || bytes < *limits.flash_bytes_per_day)) {
    limits.flash_bytes_per_day = bytes;
  }
  return absl::OkStatus();
}

std::string PauseText(const v1::Policy& policy) {
  return policy.pause_seconds_max() == 0.0
             ? ""
             : FormatElapsed(absl::Seconds(policy.pause_seconds_max()));
}

std::string OfflineText(const v1::Policy& policy) {
  return policy.has_offline_seconds() ? FormatElapsed(absl::Seconds(policy.offline_seconds())) : "";
}

absl::Status CheckOffline(const v1::Policy& policy) {
  if (policy.has_offline_seconds() && policy.offline_seconds() < 60) {
    return absl::InvalidArgumentError(
        absl::StrCat("policy.offline_seconds: ", policy.offline_seconds(),
                     " is not 60 or more wall seconds; a link is seldom away for less"));
  }
  return absl::OkStatus();
}

std::string QueueText(const v1::Policy& policy) {
  const int depth = policy.device_queue_depth();
  return policy.has_device_queue_depth()
             ? absl::StrCat(depth, depth == 1 ? " attempt" : " attempts")
             : "";
}

std::string MissingGaugeText(const v1::Policy& policy) {
  return policy.missing_gauge() == v1::MISSING_GAUGE_REFUSE ? "refused" : "";
}

absl::Status TightenMissingGauge(const v1::Policy& policy, const Zone& /*zone*/, Limits& limits) {
  const bool asks_for_charge =
      policy.reserve_state_of_charge_ratio() > 0 || !policy.stay_alive_until().empty();
  if (asks_for_charge && policy.missing_gauge() == v1::MISSING_GAUGE_REFUSE &&
      limits.refuses_missing_gauge.empty()) {
    limits.refuses_missing_gauge = policy.name();
  }
  return absl::OkStatus();
}

absl::Status CheckZone(const v1::Policy& policy) {
  return WithContext("policy", ParseZone(policy.time_zone(), policy.utc_offset_minutes()).status());
}

// An unknown zone is an error even if no time of day is given.
absl::Status TightenZone(const v1::Policy& /*policy*/, const Zone& zone, Limits& /*limits*/) {
  return zone.status();
}

constexpr Field kFields[] = {
    {.name = "reserve_state_of_charge_ratio",
     .high = 1,
     .limits = true,
     .text = ReserveText,
     .head = "reserve",
     .clause = "keeps $0 of charge",
     .tighten = TightenReserve},
    {.name = "max_temperature_celsius",
     .high = 200,
     .unit = "°C",
     .usual_low = 60,
     .usual_high = 80,
     .limits = true,
     .text = TemperatureText,
     .head = "max temperature",
     .clause = "stops above $0",
     .tighten = TightenTemperature},
    {.name = "daily_energy_budget_wh",
     .high = 1e6,
     .unit = "watt-hours",
     .limits = true,
     .text = BudgetText,
     .head = "a day",
     .clause = "draws at most $0 a day",
     .tighten = TightenBudget},
    {.name = "work_windows",
     .limits = true,
     .text = WindowsText,
     .head = "work windows",
     .clause = "works $0",
     .check = CheckWindows,
     .tighten = TightenWindows},
    {.name = "stay_alive_until",
     .limits = true,
     .text = AliveText,
     .head = "alive until",
     .clause = "leaves charge to stay alive until $0",
     .check = CheckAlive,
     .tighten = TightenAlive},
    // Only the coordinator's plans enforce this field (scheduler/place/device/device_load.cc).
    {.name = "sun_risk_ratio",
     .high = 0.5,
     .limits = true,
     .text = RiskText,
     .clause = "lets $0 of the days bring less sun than planned",
     .tighten = TightenRisk},
    // Only the coordinator's plans use this field (scheduler/place/sun/sun_outlook.h).
    {.name = "place",
     .limits = true,
     .text = PlaceText,
     .clause = "is at $0",
     .check = CheckPlace,
     .tighten = TightenPlace},
    // Only the coordinator's plans use this field (scheduler/place/device/objective.h).
    {.name = "patience_ratio_per_hour",
     .high = 1,
     .limits = true,
     .text = PatienceText,
     .head = "an hour's wait",
     .clause = "prices an hour of waiting at $0 of a job's joules",
     .tighten = TightenPatience},
    // Only the coordinator enforces this field (coordinator/core/exploration.h).
    {.name = "exploration_ratio",
     .high = 1,
     .usual_low = 0.001,
     .usual_high = 0.02,
     .limits = true,
     .text = ExplorationText,
     .clause = "lets exploring draw $0 of a day's joules",
     .tighten = TightenExploration},
    // Only the coordinator's plans enforce this field (scheduler/place/device/power_group.h).
    {.name = "power_group",
     .limits = true,
     .text = GroupText,
     .head = "power group",
     .clause = "is of power group $0",
     .check = CheckGroup,
     .tighten = TightenGroup},
    // Only the worker enforces both fields (worker/agent/core/checkpoint_cadence.h).
    {.name = "loss_seconds_max",
     .high = kYearSeconds,
     .unit = "device seconds",
     .limits = true,
     .text = LossText,
     .clause = "lets a power cut cost at most about $0 of work",
     .check = CheckLoss,
     .tighten = TightenLoss},
    {.name = "flash_bytes_per_day",
     .high = 1e15,
     .unit = "bytes",
     .limits = true,
     .text = FlashText,
     .clause = "lets checkpoints write $0 a day",
     .tighten = TightenFlash},
    // Only the worker enforces this field (worker/agent/core/power_off.h).
    {.name = "power_off_state_of_charge_ratio",
     .high = 1,
     .limits = true,
     .text = PowerOffText,
     .clause = "lets a board without work switch itself off below $0",
     .check = CheckPowerOff,
     .tighten = TightenPowerOff},
    // Only the coordinator enforces this field (coordinator/core/moving.cc).
    {.name = "pause_seconds_max",
     .high = kYearSeconds,
     .unit = "wall seconds",
     .limits = true,
     .text = PauseText},
    // The lease of an attempt carries this field (coordinator/core/placing.cc).
    {.name = "offline_seconds",
     .high = kYearSeconds,
     .unit = "wall seconds",
     .limits = true,
     .text = OfflineText,
     .clause = "lets a device work for $0 without contact to the coordinator",
     .check = CheckOffline},
    // Only the coordinator's plans enforce this field (coordinator/core/queueing.h).
    {.name = "device_queue_depth",
     .low = 1,
     .high = 16,
     .unit = "attempts",
     .limits = true,
     .text = QueueText,
     .clause = "lets $0 wait on a device behind the running one"},
    {.name = "link",
     .limits = true,
     .text = LinkText,
     .clause = "lets its link carry $0",
     .check = CheckLink,
     .tighten = TightenLink},
    {.name = "missing_gauge",
     .text = MissingGaugeText,
     .clause = "refuses devices without a battery gauge",
     .tighten = TightenMissingGauge},
    {.name = "utc_offset_minutes", .low = -14 * 60, .high = 14 * 60, .unit = "minutes"},
    {.name = "time_zone", .check = CheckZone, .tighten = TightenZone},
};

}  // namespace

absl::Span<const Field> Fields() {
  return kFields;
}

}  // namespace wattle::policy
