// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/forecast.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace wattle::telemetry {
namespace {

// A board without a battery for its clock starts at 1970; its hours of the day are wrong.
constexpr absl::Duration kClockSetAfter = absl::Hours(50 * 365 * 24);

int64_t HoursSinceEpoch(absl::Time civil) {
  return absl::ToInt64Hours(absl::Floor(civil - absl::UnixEpoch(), absl::Hours(1)));
}

constexpr int64_t kHoursOfDay = std::tuple_size_v<HarvestHours>;

}  // namespace

void BatteryForecast::Add(const BatteryReading& reading) {
  if (last_ && reading.at <= last_->at) {
    return;
  }
  if (reading.capacity && *reading.capacity > Joules(0)) {
    capacity_ = reading.capacity;
  }
  if (reading.discharge) {
    power_ = -*reading.discharge;
    // A gauge with its own power needs no slope, and a slope must not span both kinds of readings.
    slope_from_.reset();
    if (last_ && reading.at - last_->at <= kGapMax) {
      CountHarvest({.end = reading.civil,
                    .length = reading.at - last_->at,
                    .power = *power_ + reading.device.value_or(Watts(0)),
                    .hidden = reading.charge >= kFull && *power_ >= Watts(0)});
    }
  } else {
    FollowSlope(reading);
  }
  last_ = reading;
}

// The harvest is the power into the battery plus the device's draw meanwhile.
void BatteryForecast::FollowSlope(const BatteryReading& reading) {
  if (!slope_from_ || (last_ && reading.at - last_->at > kGapMax)) {
    slope_from_ = reading;
    slope_drawn_ = Joules(0);
    power_.reset();
    return;
  }
  slope_drawn_ += reading.device.value_or(Watts(0)) * (reading.at - last_->at);
  const absl::Duration elapsed = reading.at - slope_from_->at;
  if (elapsed >= kSlopeTime && capacity_) {
    const Joules moved = *capacity_ * (reading.charge - slope_from_->charge).value();
    power_ = Watts(moved.value() / absl::ToDoubleSeconds(elapsed));
    CountHarvest({.end = reading.civil,
                  .length = elapsed,
                  .power = Watts((moved + slope_drawn_).value() / absl::ToDoubleSeconds(elapsed)),
                  .hidden = reading.charge >= kFull});
    slope_from_ = reading;
    slope_drawn_ = Joules(0);
  }
}

void BatteryForecast::CountHarvest(const Observed& observed) {
  const absl::Time begin = observed.end - observed.length;
  if (begin - absl::UnixEpoch() < kClockSetAfter) {
    return;
  }
  for (absl::Time at = begin; at < observed.end;) {
    const int64_t hour = HoursSinceEpoch(at);
    const absl::Time until = std::min(absl::UnixEpoch() + absl::Hours(hour + 1), observed.end);
    CountWithinHour(hour, until - at, observed);
    at = until;
  }
}

void BatteryForecast::CountWithinHour(int64_t hour, absl::Duration length,
                                      const Observed& observed) {
  const auto of_day = static_cast<int>(hour % kHoursOfDay);
  HarvestHour& counted = harvest_[static_cast<size_t>(of_day)];
  const Watts before = HarvestAt(of_day).value_or(Watts(0));
  if (hour_ != hour) {
    hour_ = hour;
    // Halved once for each new day, so that the mean follows the season.
    counted.energy = 0.5 * counted.energy;
    counted.observed *= 0.5;
  }
  // A full battery takes less than the sun gives, so its reading is only a lower bound of the
  // harvest.
  const absl::Duration seen = observed.hidden ? absl::ZeroDuration() : length;
  recent_.Add(hour, observed.power * seen, seen);
  counted.energy += (observed.hidden ? std::max(observed.power, before) : observed.power) * length;
  counted.observed += length;
}

bool BatteryForecast::IsCurrent(Monotonic now) const {
  return last_ && now - last_->at <= kGapMax;
}

std::optional<Watts> BatteryForecast::Power(Monotonic now) const {
  return IsCurrent(now) ? power_ : std::nullopt;
}

std::optional<absl::Duration> BatteryForecast::ToEmpty(Monotonic now) const {
  if (!IsCurrent(now) || !power_ || !capacity_ || *power_ >= Watts(0)) {
    return std::nullopt;
  }
  const Joules left = *capacity_ * last_->charge.value();
  return absl::Seconds(left.value() / -power_->value());
}

std::optional<absl::Duration> BatteryForecast::ToFull(Monotonic now) const {
  if (!IsCurrent(now) || !power_ || !capacity_) {
    return std::nullopt;
  }
  const Watts device = last_->device.value_or(Watts(0));
  std::array<Watts, kHoursOfDay> net;
  for (int of_day = 0; of_day < kHoursOfDay; ++of_day) {
    const std::optional<Watts> harvest = HarvestAt(of_day);
    // An hour without observation is assumed to continue the present power.
    net[static_cast<size_t>(of_day)] = harvest ? *harvest - device : *power_;
  }
  Joules missing = *capacity_ * (1 - last_->charge.value());
  Joules missing_a_day_before = missing;
  const int64_t first_hour = HoursSinceEpoch(last_->civil);
  const absl::Duration first_end = absl::UnixEpoch() + absl::Hours(first_hour + 1) - last_->civil;
  absl::Duration begin = absl::ZeroDuration();
  for (int hours = 0; begin < kAheadMax; ++hours) {
    if (missing <= Joules(0)) {
      return begin;
    }
    // Every simulated day is equal, so a pack that lacks as much as a day earlier is never full.
    if (hours % kHoursOfDay == 1) {
      if (hours > 1 && missing >= missing_a_day_before) {
        return std::nullopt;
      }
      missing_a_day_before = missing;
    }
    const Watts gain = net[static_cast<size_t>((first_hour + hours) % kHoursOfDay)];
    const Joules comes = gain * (hours == 0 ? first_end : absl::Hours(1));
    if (gain > Watts(0) && comes >= missing) {
      return begin + absl::Seconds(missing.value() / gain.value());
    }
    missing = std::min(missing - comes, *capacity_);
    begin = first_end + hours * absl::Hours(1);
  }
  return std::nullopt;
}

std::optional<Watts> BatteryForecast::HarvestAt(int hour) const {
  const HarvestHour& one = harvest_[static_cast<size_t>(hour)];
  return one.observed > absl::Minutes(1) ? std::optional<Watts>(std::max(0.0, one.energy.value()) /
                                                                absl::ToDoubleSeconds(one.observed))
                                         : std::nullopt;
}

}  // namespace wattle::telemetry
