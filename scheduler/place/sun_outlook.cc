// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/place/sun_outlook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>

#include "scheduler/timetable/amounts.h"

namespace wattle::scheduler {
namespace {

using timetable::kHour;
using timetable::Milliwatts;

constexpr int64_t kHoursOfDay = 24;
using Day = std::array<Milliwatts, kHoursOfDay>;

// An hour below this share of the brightest one is night.
constexpr Milliwatts kNightShare = 64;
// How today began is told by its latest hours: by so many, each of which is no dawn, and which were
// to bring a share of the day's sun together. bench/day_factors.py counts likewise.
constexpr int kSeenHours = 3;
constexpr Milliwatts kDawnShare = 16;
constexpr Milliwatts kSeenShare = 32;

size_t OfDay(int64_t hour) {
  return static_cast<size_t>(hour % kHoursOfDay);
}

Day MeanDayOf(const v1::EnergyLedger& ledger) {
  Day day{};
  for (size_t hour = 0; hour < day.size(); ++hour) {
    const double watts = ledger.harvest_power_watts_by_hour(static_cast<int>(hour));
    day[hour] = timetable::MilliwattsDown(Watts(std::max(0.0, watts)));
  }
  return day;
}

// What came in an hour that is over; nullopt: not observed.
std::optional<Milliwatts> ObservedIn(const v1::RecentHarvest& recent, int64_t hour) {
  const int64_t size = recent.power_watts_size();
  if (hour > recent.last_hour() || recent.last_hour() - hour >= size) {
    return std::nullopt;
  }
  const int64_t index = size - 1 - (recent.last_hour() - hour);
  const double watts = recent.power_watts(static_cast<int>(index));
  return watts >= 0 && Watts(watts) < kPowerMax
             ? std::optional(timetable::MilliwattsDown(Watts(watts)))
             : std::nullopt;
}

// Takes this day's sun out of the means, back to the last night: the worker halved the weight of
// the days before and added what it saw. An hour of which the ledger does not tell yet stays.
class DayBefore {
 public:
  DayBefore(const v1::Device& gauge, int64_t hour_now)
      : recent_(gauge.heartbeat().recent_harvest()),
        hour_now_(hour_now),
        expected_(MeanDayOf(gauge.ledger())) {
    const Milliwatts peak = *std::max_element(expected_.begin(), expected_.end());
    for (int64_t hour = hour_now - 1; hour > hour_now - kHoursOfDay; --hour) {
      Milliwatts& expected = expected_[OfDay(hour)];
      if (expected <= peak / kNightShare) {
        break;
      }
      first_ = hour;
      const std::optional<Milliwatts> observed = ObservedIn(recent_, hour);
      const auto over = static_cast<double>((hour + 1) * kHour);
      if (observed.has_value() && gauge.ledger().at_unix_seconds() >= over) {
        expected = std::max<Milliwatts>(0, 2 * expected - *observed);
      }
    }
  }

  [[nodiscard]] const Day& expected() const { return expected_; }

  [[nodiscard]] std::optional<int64_t> Seen() const {
    const Milliwatts peak = *std::max_element(expected_.begin(), expected_.end());
    const Milliwatts total = std::accumulate(expected_.begin(), expected_.end(), Milliwatts{0});
    Milliwatts observed = 0;
    Milliwatts expected = 0;
    int hours = 0;
    for (int64_t hour = hour_now_ - 1; hour >= first_ && hours < kSeenHours; --hour) {
      const std::optional<Milliwatts> power = ObservedIn(recent_, hour);
      if (power.has_value() && expected_[OfDay(hour)] > peak / kDawnShare) {
        observed += *power;
        expected += expected_[OfDay(hour)];
        ++hours;
      }
    }
    return hours > 0 && expected >= total / kSeenShare ? std::optional(1000 * observed / expected)
                                                       : std::nullopt;
  }

 private:
  const v1::RecentHarvest& recent_;
  int64_t hour_now_;
  int64_t first_ = hour_now_;  // Of this day.
  Day expected_;
};

}  // namespace

bool HasSeenSun(const v1::Device& device) {
  const auto& hours = device.ledger().harvest_power_watts_by_hour();
  return hours.size() == kHoursOfDay &&
         std::any_of(hours.begin(), hours.end(), [](double watts) { return watts > 0; }) &&
         std::all_of(hours.begin(), hours.end(),
                     [](double watts) { return Watts(watts) < kPowerMax; });
}

timetable::SunOutlook SunOutlookOf(const v1::Device& gauge, absl::Time now) {
  const int64_t hour_now = absl::ToUnixSeconds(now) / kHour;
  const DayBefore before(gauge, hour_now);
  timetable::SunOutlook outlook;
  for (int64_t hour = hour_now; hour < hour_now + kSunHours; ++hour) {
    outlook.expected.push_back(before.expected()[OfDay(hour)]);
  }
  outlook.seen = before.Seen();
  if (outlook.seen.has_value()) {
    const Milliwatts peak = *std::max_element(outlook.expected.begin(), outlook.expected.end());
    const auto night =
        std::find_if(outlook.expected.begin(), outlook.expected.begin() + kHoursOfDay,
                     [peak](Milliwatts expected) { return expected <= peak / kNightShare; });
    outlook.hours_until_night = static_cast<size_t>(night - outlook.expected.begin());
  }
  return outlook;
}

}  // namespace wattle::scheduler
