// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/sun/sun_outlook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"

#include "scheduler/battery/clear_sky.h"
#include "scheduler/timetable/amounts.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

using timetable::kHour;
using timetable::Milliwatts;

constexpr int64_t kOne = 1000;  // Shares are thousandths.
constexpr int64_t kHoursOfDay = 24;
using Day = std::array<Milliwatts, kHoursOfDay>;

// An hour below this share of the brightest one is night.
constexpr Milliwatts kNightShare = 64;
// Hours that show how today began: this many of the latest hours, excluding dawn, with at least
// this share of the day's expected sun. bench/day_factors.py uses the same rule.
constexpr int kSeenHours = 3;
constexpr Milliwatts kDawnShare = 16;
constexpr Milliwatts kSeenShare = 32;
// The panel's size follows from hours in which a clear sky gives at least this much. Days before
// may have been dull, so a clear sky may give a quarter more than the brightest of them.
constexpr int64_t kBrightSky = 300;
constexpr int64_t kClearer = 1250;

size_t OfDay(int64_t hour) {
  return static_cast<size_t>(hour % kHoursOfDay);
}

// The sky of each hour of the next day; it changes little within three days.
class Sky {
 public:
  Sky(const std::optional<v1::Place>& place, int64_t hour_now) : known_(place.has_value()) {
    for (int64_t hour = hour_now; known_ && hour < hour_now + kHoursOfDay; ++hour) {
      clear_[OfDay(hour)] = ClearHourOf(*place, hour);
    }
  }

  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] bool IsNight(int64_t hour) const { return known_ && At(hour).is_night(); }
  [[nodiscard]] const ClearHour& At(int64_t hour) const { return clear_[OfDay(hour)]; }

 private:
  bool known_;
  std::array<ClearHour, kHoursOfDay> clear_{};
};

// Fills hours that the gauge never saw with the sun of a level panel, scaled to the hours that it
// saw.
void FillUnseen(const v1::EnergyLedger& ledger, const Sky& sky, Day& day) {
  const auto is_unseen = [&ledger](int64_t hour) {
    return ledger.harvest_power_watts_by_hour(static_cast<int>(hour)) < 0;
  };
  Milliwatts seen = 0;
  int64_t clear = 0;
  for (int64_t hour = 0; hour < kHoursOfDay; ++hour) {
    if (!is_unseen(hour)) {
      seen += day[OfDay(hour)];
      clear += sky.At(hour).level;
    }
  }
  if (clear < kOne) {
    return;  // Less than an hour of full sun is no basis.
  }
  for (int64_t hour = 0; hour < kHoursOfDay; ++hour) {
    if (is_unseen(hour)) {
      day[OfDay(hour)] = seen * sky.At(hour).level / clear;
    }
  }
}

Day MeanDayOf(const v1::EnergyLedger& ledger, const Sky& sky) {
  Day day{};
  for (int64_t hour = 0; hour < kHoursOfDay; ++hour) {
    const double watts = ledger.harvest_power_watts_by_hour(static_cast<int>(hour));
    day[OfDay(hour)] =
        sky.IsNight(hour) ? 0 : timetable::MilliwattsDown(Watts(std::max(0.0, watts)));
  }
  if (sky.known()) {
    FillUnseen(ledger, sky, day);
  }
  return day;
}

// The harvest of a past hour; nullopt: not observed.
std::optional<Milliwatts> ObservedIn(const v1::RecentHarvest& recent, int64_t hour) {
  const int64_t size = recent.power_watts_size();
  if (hour > recent.last_hour() || recent.last_hour() - hour >= size) {
    return std::nullopt;
  }
  const double watts = recent.power_watts(static_cast<int>(size - 1 - (recent.last_hour() - hour)));
  return watts >= 0 && Watts(watts) < kPowerMax
             ? std::optional(timetable::MilliwattsDown(Watts(watts)))
             : std::nullopt;
}

class Outlook {
 public:
  Outlook(const DeviceView& gauge, const std::optional<v1::Place>& place, int64_t hour_now)
      : recent_(gauge.device.heartbeat().recent_harvest()),
        forecast_(gauge.sun_forecast),
        hour_now_(hour_now),
        sky_(place, hour_now),
        history_(MeanDayOf(gauge.device.ledger(), sky_)) {
    TakeTodayOut(gauge.device.ledger());
  }

  [[nodiscard]] Milliwatts ExpectedIn(int64_t hour) const {
    const Milliwatts history = history_[OfDay(hour)];
    if (!forecast_.has_value() || hour < forecast_->first_hour ||
        hour - forecast_->first_hour >= static_cast<int64_t>(forecast_->power.size())) {
      return history;
    }
    const Milliwatts forecast = forecast_->power[static_cast<size_t>(hour - forecast_->first_hour)];
    return (history * (kOne - forecast_->trust) + forecast * forecast_->trust) / kOne;
  }

  // For two sources with independent errors, the mean with the least error has the error of the
  // worse one times the root of its own share.
  [[nodiscard]] int64_t Spread() const {
    return forecast_.has_value() ? static_cast<int64_t>(std::sqrt(
                                       static_cast<double>(kOne * (kOne - forecast_->trust))))
                                 : kOne;
  }

  [[nodiscard]] std::optional<int64_t> Seen() const {
    Milliwatts total = 0;
    Milliwatts peak = 0;
    for (int64_t hour = hour_now_ - kHoursOfDay; hour < hour_now_; ++hour) {
      total += ExpectedIn(hour);
      peak = std::max(peak, ExpectedIn(hour));
    }
    Milliwatts observed = 0;
    Milliwatts expected = 0;
    int hours = 0;
    for (int64_t hour = hour_now_ - 1; hour >= first_ && hours < kSeenHours; --hour) {
      const std::optional<Milliwatts> power = ObservedIn(recent_, hour);
      // Ratios of small numbers are noise, so hours of dawn do not count.
      if (power.has_value() && ExpectedIn(hour) > peak / kDawnShare) {
        observed += *power;
        expected += ExpectedIn(hour);
        ++hours;
      }
    }
    return hours > 0 && expected >= total / kSeenShare ? std::optional(kOne * observed / expected)
                                                       : std::nullopt;
  }

  // Harvest under a clear sky in each hour; empty: place or panel is unknown.
  [[nodiscard]] std::vector<Milliwatts> MostIn(int64_t hours) const {
    Milliwatts panel = 0;
    for (int64_t hour = hour_now_ - kHoursOfDay; sky_.known() && hour < hour_now_; ++hour) {
      if (const int64_t facing = sky_.At(hour).facing; facing >= kBrightSky) {
        const Milliwatts power =
            std::max(history_[OfDay(hour)], ObservedIn(recent_, hour).value_or(0));
        panel = std::max(panel, power * kOne / facing);
      }
    }
    std::vector<Milliwatts> most;
    for (int64_t hour = hour_now_; panel > 0 && hour < hour_now_ + hours; ++hour) {
      most.push_back(panel * kClearer / kOne * sky_.At(hour).facing / kOne);
    }
    return most;
  }

 private:
  // Removes this day's sun from the means, back to the last night: the worker halved the weight of
  // the days before and added this day's value. An hour that the ledger does not include yet is
  // unchanged.
  void TakeTodayOut(const v1::EnergyLedger& ledger) {
    const Milliwatts peak = *std::max_element(history_.begin(), history_.end());
    for (int64_t hour = hour_now_ - 1; hour > hour_now_ - kHoursOfDay; --hour) {
      Milliwatts& expected = history_[OfDay(hour)];
      // Night separates this day from the one before.
      if (expected <= peak / kNightShare) {
        return;
      }
      first_ = hour;
      const std::optional<Milliwatts> observed = ObservedIn(recent_, hour);
      const auto over = static_cast<double>((hour + 1) * kHour);
      if (observed.has_value() && ledger.at_unix_seconds() >= over) {
        // Inverts mean = (before + observed) / 2.
        expected = std::max<Milliwatts>(0, 2 * expected - *observed);
      }
    }
  }

  const v1::RecentHarvest& recent_;
  const std::optional<SunForecast>& forecast_;
  int64_t hour_now_;
  int64_t first_ = hour_now_;  // First hour of this day.
  Sky sky_;
  Day history_;  // Means before this day.
};

}  // namespace

bool HasSeenSun(const v1::Device& device) {
  const auto& hours = device.ledger().harvest_power_watts_by_hour();
  return hours.size() == kHoursOfDay &&
         std::any_of(hours.begin(), hours.end(), [](double watts) { return watts > 0; }) &&
         std::all_of(hours.begin(), hours.end(),
                     [](double watts) { return Watts(watts) < kPowerMax; });
}

timetable::SunOutlook SunOutlookOf(const DeviceView& gauge, const std::optional<v1::Place>& place,
                                   absl::Time now) {
  const int64_t hour_now = absl::ToUnixSeconds(now) / kHour;
  const Outlook from(gauge, place, hour_now);
  timetable::SunOutlook outlook{.spread = from.Spread()};
  for (int64_t hour = hour_now; hour < hour_now + kSunHours; ++hour) {
    outlook.expected.push_back(from.ExpectedIn(hour));
  }
  outlook.most = from.MostIn(kSunHours);
  outlook.seen = from.Seen();
  if (outlook.seen.has_value()) {
    const auto today = outlook.expected.begin();
    const Milliwatts peak = *std::max_element(today, today + kHoursOfDay);
    const auto night = std::find_if(today, today + kHoursOfDay, [peak](Milliwatts expected) {
      return expected <= peak / kNightShare;
    });
    outlook.hours_until_night = static_cast<size_t>(night - today);
  }
  return outlook;
}

std::string DescribeSun(const DeviceView& gauge, const std::optional<v1::Place>& place,
                        absl::Time now) {
  const timetable::SunOutlook outlook = SunOutlookOf(gauge, place, now);
  const auto percent = [](int64_t share) {
    return FormatPercent(Fraction(static_cast<double>(share) / static_cast<double>(kOne)));
  };
  std::string text = "its own days before";
  if (gauge.sun_forecast.has_value()) {
    absl::StrAppend(&text, "; forecast ", gauge.sun_forecast->name, " counts ",
                    percent(gauge.sun_forecast->trust));
  }
  if (outlook.seen.has_value()) {
    absl::StrAppend(&text, "; this day brought ", percent(*outlook.seen), " of that so far");
  }
  if (!outlook.most.empty()) {
    absl::StrAppend(&text, "; at most a clear sky");
  }
  return text;
}

}  // namespace wattle::scheduler
