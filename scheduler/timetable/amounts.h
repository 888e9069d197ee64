// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The numbers of a timetable. All amounts are integers, so a comparison of two plans has the same
// outcome on every architecture: milliwatts times seconds are millijoules without a rounding.
//
// A conversion rounds once, at the border, to the safe side: draws and times round up; charges and
// harvests round down. Pure.
#ifndef WATTLE_SCHEDULER_TIMETABLE_AMOUNTS_H_
#define WATTLE_SCHEDULER_TIMETABLE_AMOUNTS_H_

#include <cmath>
#include <cstdint>

#include "absl/time/time.h"

#include "units/quantity.h"

namespace wattle::timetable {

using Seconds = int64_t;  // A length, or a moment since 1970.
using Millijoules = int64_t;
using Milliwatts = int64_t;

inline constexpr Seconds kHour = 3600;

inline Seconds SecondsUp(absl::Duration length) {
  return absl::ToInt64Seconds(absl::Ceil(length, absl::Seconds(1)));
}
inline Seconds UnixSecondsUp(absl::Time moment) {
  return SecondsUp(moment - absl::UnixEpoch());
}
inline Millijoules MillijoulesUp(Joules drawn) {
  return static_cast<Millijoules>(std::ceil(drawn.value() * 1000));
}
inline Millijoules MillijoulesDown(Joules held) {
  return static_cast<Millijoules>(std::floor(held.value() * 1000));
}
inline Milliwatts MilliwattsUp(Watts drawn) {
  return static_cast<Milliwatts>(std::ceil(drawn.value() * 1000));
}
inline Milliwatts MilliwattsDown(Watts harvested) {
  return static_cast<Milliwatts>(std::floor(harvested.value() * 1000));
}

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_AMOUNTS_H_
