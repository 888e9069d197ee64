// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "units/format.h"

#include <array>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_format.h"

namespace wattle {

std::string FormatEnergy(Joules energy) {
  const double watt_hours = ToWattHours(energy);
  // Four digits cover the accuracy of these boards' sensors.
  if (std::abs(watt_hours) >= 1000.0) {
    const double kilowatt_hours = watt_hours / 1000.0;
    return absl::StrFormat("%.*f kWh", std::abs(kilowatt_hours) < 100.0 ? 2 : 1, kilowatt_hours);
  }
  if (std::abs(watt_hours) >= 1.0) {
    return absl::StrFormat("%.*f Wh", std::abs(watt_hours) < 100.0 ? 2 : 1, watt_hours);
  }
  return absl::StrFormat("%.1f J", energy.value());
}

std::string FormatPower(Watts power) {
  return absl::StrFormat("%.2f W", power.value());
}

std::string FormatElapsed(absl::Duration time) {
  const double seconds = absl::ToDoubleSeconds(time);
  if (std::abs(seconds) < 1.0) {
    return absl::StrFormat("%.0f ms", seconds * 1000.0);
  }
  if (std::abs(seconds) < 60.0) {
    return absl::StrFormat("%.1f s", seconds);
  }
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (std::abs(whole) < 3600) {
    return absl::StrFormat("%d min %02d s", whole / 60, std::abs(whole % 60));
  }
  return absl::StrFormat("%d h %02d min", whole / 3600, std::abs(whole % 3600) / 60);
}

std::string FormatBytes(int64_t size_bytes) {
  static constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double size = static_cast<double>(size_bytes);
  size_t unit = 0;
  while (std::abs(size) >= 1024.0 && unit + 1 < kUnits.size()) {
    size /= 1024.0;
    ++unit;
  }
  return unit == 0 ? absl::StrFormat("%d B", size_bytes)
                   : absl::StrFormat("%.1f %s", size, kUnits[unit]);
}

std::string FormatTemperature(Celsius temperature) {
  return absl::StrFormat("%.1f °C", temperature.value());
}

std::string FormatPercent(Fraction fraction) {
  return absl::StrFormat("%.0f %%", fraction.value() * 100.0);
}

}  // namespace wattle
