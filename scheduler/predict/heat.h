// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What heat does to a run. A board knows how its temperature follows its watts (HeatModel). A run
// whose watts would warm the board beyond a limit works at full speed until it is there, and then
// only as fast as the limit allows: the kernel lowers the clocks, or the guard of a policy pauses
// the work again and again. Work is taken to be proportional to the watts above idle. That is what
// pauses do; lower clocks do a little more work for a watt. Pure; thread-safe.
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

// Kelvin above the air, of each stage of the model.
using HeatRises = std::array<double, 2>;

// The heat of a board at a moment of a plan; its model says what it becomes.
struct BoardHeat {
  absl::Time at;
  HeatRises rises{};
  // The board never gets warmer than so much above the air.
  double rise_max = std::numeric_limits<double>::infinity();

  bool operator==(const BoardHeat& other) const = default;
};

// The lower one of what the kernel does by itself and of what a policy allows, with a margin;
// nullopt: nothing bounds the temperature. guard_limit: the policies'.
struct HeatLimit {
  Celsius temperature{};
  bool by_guard = false;
};
std::optional<HeatLimit> HeatLimitOf(const v1::Device& device,
                                     const std::optional<Celsius>& guard_limit);

// By the latest heartbeat. REQUIRES: the device knows its heat model.
BoardHeat HeatNow(const v1::Device& device, const std::optional<HeatLimit>& limit, absl::Time now);
// At a later moment, after so many watts in between.
BoardHeat HeatAfter(const v1::Device& device, BoardHeat heat, Watts power, absl::Time until);

// A run that the board cannot do at full speed for ever.
struct HotRun {
  HeatLimit limit;
  v1::HeatModel model;
};

// nullopt: the board does the run at full speed for ever, or its model is not known. cool: of a
// board that stays cool. rows_celsius_max: how warm the boards became in the runs from which it was
// predicted; 0: not known. Rows of runs that came to the kernel's limit have its slowness in them.
// Those of a guarded board have none, because a pause is no part of a run.
std::optional<HotRun> HotRunOf(const v1::Device& device, const std::optional<HeatLimit>& limit,
                               const v1::Prediction& cool, double rows_celsius_max);

// The prediction of the run on a board that is so warm when it begins: longer, with the joules
// above idle of the cool one and the idle draw of its longer time. The note says why.
// cool: as HotRunOf's.
v1::Prediction Stretched(const HotRun& run, const v1::Prediction& cool, const BoardHeat& heat);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_HEAT_H_
