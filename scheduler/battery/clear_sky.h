// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The sun under a clear sky, by place and time: when it is night, and the upper limit of any
// panel's harvest. The sun's place in the sky is by J. W. Spencer, "Fourier series representation
// of the position of the sun", Search 2 (1971); the light that reaches the ground by B. Haurwitz,
// "Insolation in relation to cloudiness and cloud density", Journal of Meteorology 2 (1945): 1098
// W/m2 x cos Z x exp(-0.057 / cos Z), Z being the angle from the zenith. Pure.
#ifndef WATTLE_SCHEDULER_BATTERY_CLEAR_SKY_H_
#define WATTLE_SCHEDULER_BATTERY_CLEAR_SKY_H_

#include <cstdint>

#include "absl/time/time.h"

#include "wattle/v1/policy.pb.h"

namespace wattle::scheduler {

// The cosine of the angle from the zenith to the sun's centre; below 0: the sun is down.
double CosineOfZenith(const v1::Place& place, absl::Time at);

// Means over one hour, in thousandths of a clear sky's irradiance with the sun in the zenith.
struct ClearHour {
  int64_t level = 0;   // On a level panel.
  int64_t facing = 0;  // On a panel that faces the sun: no panel gets more.

  [[nodiscard]] bool is_night() const { return facing == 0; }
};
// hour: since 1970, UTC.
ClearHour ClearHourOf(const v1::Place& place, int64_t hour);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_BATTERY_CLEAR_SKY_H_
