// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Physical quantities. A bare number is not a power; arithmetic follows physics; conversions have
// names. Inside the program energy is in joules and power in watts; watt-hours exist for people and
// for policy files.
#ifndef WATTLE_UNITS_QUANTITY_H_
#define WATTLE_UNITS_QUANTITY_H_

#include "absl/time/time.h"

namespace wattle {

template <typename Tag>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(double value) : value_(value) {}
  [[nodiscard]] constexpr double value() const { return value_; }

  constexpr Quantity& operator+=(Quantity other) {
    value_ += other.value_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    value_ -= other.value_;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) {
    return Quantity(a.value_ + b.value_);
  }
  friend constexpr Quantity operator-(Quantity a, Quantity b) {
    return Quantity(a.value_ - b.value_);
  }
  friend constexpr Quantity operator-(Quantity a) { return Quantity(-a.value_); }
  friend constexpr Quantity operator*(Quantity a, double factor) {
    return Quantity(a.value_ * factor);
  }
  friend constexpr Quantity operator*(double factor, Quantity a) {
    return Quantity(a.value_ * factor);
  }
  friend constexpr Quantity operator/(Quantity a, double divisor) {
    return Quantity(a.value_ / divisor);
  }
  friend constexpr double operator/(Quantity a, Quantity b) { return a.value_ / b.value_; }
  friend constexpr bool operator==(Quantity a, Quantity b) = default;
  friend constexpr auto operator<=>(Quantity a, Quantity b) { return a.value_ <=> b.value_; }

 private:
  double value_ = 0.0;
};

using Watts = Quantity<struct WattsTag>;
using Joules = Quantity<struct JoulesTag>;
using Celsius = Quantity<struct CelsiusTag>;
using Fraction =
    Quantity<struct FractionTag>;  // 0 to 1: state of charge, coverage, throttled share.

inline constexpr double kJoulesPerWattHour = 3600.0;
constexpr Joules FromWattHours(double watt_hours) {
  return Joules(watt_hours * kJoulesPerWattHour);
}
constexpr double ToWattHours(Joules energy) {
  return energy.value() / kJoulesPerWattHour;
}

// The only conversion between watts and joules.
inline Joules operator*(Watts power, absl::Duration time) {
  return Joules(power.value() * absl::ToDoubleSeconds(time));
}
inline Joules operator*(absl::Duration time, Watts power) {
  return power * time;
}
inline Watts operator/(Joules energy, absl::Duration time) {
  return Watts(energy.value() / absl::ToDoubleSeconds(time));
}
inline absl::Duration operator/(Joules energy, Watts power) {
  return absl::Seconds(energy.value() / power.value());
}

}  // namespace wattle

#endif  // WATTLE_UNITS_QUANTITY_H_
