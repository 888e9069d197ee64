// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The effect of heat on a run. A board reports how its temperature follows its watts (HeatModel). A
// run whose watts would warm the board beyond a limit works at full speed until the limit is
// reached, and then only as fast as the limit allows: the kernel lowers the clocks, or the guard of
// a policy pauses the work repeatedly. Work is assumed proportional to the watts above idle. For
// pauses this is exact; lower clocks do a little more work for a watt. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_HEAT_H_
#define WATTLE_SCHEDULER_PREDICT_HEAT_H_

#include <array>
#include <limits>
#include <optional>

#include "absl/time/time.h"

#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Kelvin above the air for each stage of the model.
using HeatRises = std::array<double, 2>;

// The heat of a board at a moment of a plan, from which its model computes later moments.
struct BoardHeat {
  absl::Time at;
  HeatRises rises{};
  // Bound on the board's rise above the air, in kelvin.
  double rise_max = std::numeric_limits<double>::infinity();

  bool operator==(const BoardHeat& other) const = default;
};

// The lower of the kernel's own limit and the policies' limit, with a margin; nullopt: nothing
// limits the temperature. guard_limit: the policies' limit.
struct HeatLimit {
  Celsius temperature{};
  bool by_guard = false;
};
std::optional<HeatLimit> HeatLimitOf(const v1::Device& device,
                                     const std::optional<Celsius>& guard_limit);

// The heat by the latest heartbeat. REQUIRES: the device has a heat model.
BoardHeat HeatNow(const v1::Device& device, const std::optional<HeatLimit>& limit, absl::Time now);
// The heat at a later moment, after `power` in between.
BoardHeat HeatAfter(const v1::Device& device, BoardHeat heat, Watts power, absl::Time until);

// A run that the board cannot sustain at full speed.
struct HotRun {
  HeatLimit limit;
  v1::HeatModel model;
};

// nullopt: the board sustains the run at full speed, or its model is unknown. cool: the prediction
// for a board that stays cool. rows_celsius_max: the highest temperature in the runs from which it
// was predicted; 0: unknown. Rows of runs that reached the kernel's limit already contain its
// slowdown. Rows of a guarded board contain none, because a pause is not part of a run.
std::optional<HotRun> HotRunOf(const v1::Device& device, const std::optional<HeatLimit>& limit,
                               const v1::Prediction& cool, double rows_celsius_max);

// The prediction of the run on a board with this heat at the begin: longer, with the joules above
// idle of the cool prediction and the idle draw of the longer time. The note states the reason.
// cool: the prediction given to HotRunOf.
v1::Prediction Stretched(const HotRun& run, const v1::Prediction& cool, const BoardHeat& heat);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_HEAT_H_
