// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/battery/clear_sky.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/time/civil_time.h"

namespace wattle::scheduler {
namespace {

constexpr double kRadians = std::numbers::pi / 180;
constexpr double kDegreesAnHour = 15;
constexpr int kSamplesOfHour = 12;
constexpr double kExtinction = 0.057;  // Haurwitz.

// Declination of the sun, and how far the sundial is ahead of the clock, in hours.
struct SunOfDay {
  double declination = 0;  // Radians.
  double ahead_hours = 0;
};

SunOfDay SunAt(absl::Time at) {
  const absl::CivilSecond civil = absl::ToCivilSecond(at, absl::UTCTimeZone());
  const double day =
      static_cast<double>(absl::GetYearDay(absl::CivilDay(civil)) - 1) + (civil.hour() - 12) / 24.0;
  const double year = 2 * std::numbers::pi * day / 365;
  SunOfDay sun;
  sun.declination = 0.006918 - 0.399912 * std::cos(year) + 0.070257 * std::sin(year) -
                    0.006758 * std::cos(2 * year) + 0.000907 * std::sin(2 * year) -
                    0.002697 * std::cos(3 * year) + 0.00148 * std::sin(3 * year);
  const double equation_of_time = 0.000075 + 0.001868 * std::cos(year) - 0.032077 * std::sin(year) -
                                  0.014615 * std::cos(2 * year) - 0.04089 * std::sin(2 * year);
  sun.ahead_hours = equation_of_time * 12 / std::numbers::pi;
  return sun;
}

}  // namespace

double CosineOfZenith(const v1::Place& place, absl::Time at) {
  const SunOfDay sun = SunAt(at);
  const double of_day = absl::ToDoubleHours(
      at - absl::FromCivil(absl::ToCivilDay(at, absl::UTCTimeZone()), absl::UTCTimeZone()));
  const double solar_hour = of_day + place.longitude_degrees() / kDegreesAnHour + sun.ahead_hours;
  const double hour_angle = (solar_hour - 12) * kDegreesAnHour * kRadians;
  const double latitude = place.latitude_degrees() * kRadians;
  return std::sin(latitude) * std::sin(sun.declination) +
         std::cos(latitude) * std::cos(sun.declination) * std::cos(hour_angle);
}

ClearHour ClearHourOf(const v1::Place& place, int64_t hour) {
  double level = 0;
  double facing = 0;
  for (int sample = 0; sample < kSamplesOfHour; ++sample) {
    const absl::Time at =
        absl::UnixEpoch() + absl::Hours(hour) + (sample + 0.5) * (absl::Hours(1) / kSamplesOfHour);
    // The sky is light while the sun is a little below the horizon.
    constexpr double kTwilight = 0.01;
    const double cosine = CosineOfZenith(place, at);
    if (cosine > -kTwilight) {
      const double up = std::max(cosine, kTwilight);
      const double through = std::exp(kExtinction - kExtinction / up);
      level += up * through;
      facing += through;
    }
  }
  const auto thousandths = [](double sum) {
    return static_cast<int64_t>(std::ceil(1000 * sum / kSamplesOfHour));
  };
  return {.level = thousandths(level), .facing = thousandths(facing)};
}

}  // namespace wattle::scheduler
