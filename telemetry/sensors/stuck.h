// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds a source that keeps reporting its last value. An equal value is no fault by itself: the
// values of a board at rest and of a battery whose charger carries the load stand still. A source
// is stuck once something else shows that the true value must have moved: the load changed, another
// source moved, or more charge was counted than the gauge's steps and errors can hide. The source
// is used again when its value moves. docs/operate/sensors.md has the bounds. Pure: times come with
// the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_SENSORS_STUCK_H_
#define WATTLE_TELEMETRY_SENSORS_STUCK_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/sensors/source.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// The device's activity, as far as its power depends on it.
enum class Load { kRest, kWork, kUnknown };

// Watches a source's power: one total in watts, or the energy counters that make up a total.
class StuckPower {
 public:
  // Another source of the device's power, for comparison.
  struct Other {
    size_t source = 0;
    Watts power{};
    Watts error_floor{};
  };

  explicit StuckPower(const SourceInfo& info);

  // Adds a reading. A reading that is not newer than the last one changes nothing.
  void Add(Monotonic at, std::vector<double> value, Load load, const std::optional<Other>& other);

  // Whether the value stayed exactly equal through enough rest and enough work, or on both sides of
  // a clear move of the other source.
  [[nodiscard]] bool stuck() const;
  // Whether the last reading differed from the one before.
  [[nodiscard]] bool moved() const { return moved_; }
  [[nodiscard]] absl::Duration equal_for() const { return last_at_ - since_; }

 private:
  void Compare(const std::optional<Other>& other, absl::Duration passed);

  const absl::Duration steady_;  // on each side; a shorter time is no evidence
  const absl::Duration gap_;     // a longer time between two readings is no evidence
  const Watts error_floor_;
  std::vector<double> value_;  // empty before the first reading
  bool moved_ = false;
  Monotonic since_;
  Monotonic last_at_;
  Load load_ = Load::kUnknown;
  absl::Duration at_rest_;
  absl::Duration at_work_;
  std::optional<Other> other_;  // the other source's state when the value began to be equal
  absl::Duration other_near_;
  absl::Duration other_far_;
};

// Watches a gauge's charge.
class StuckCharge {
 public:
  explicit StuckCharge(const SourceInfo& info);

  // Adds a reading. drawn: the device's measured consumption since the previous reading; absent:
  // not measured, or not from this battery.
  void Add(Monotonic at, const ChargeState& charge, const std::optional<Joules>& drawn, Load load);

  // Whether the charge stayed exactly equal although more left the battery than the gauge's steps
  // and errors can hide, or the gauge's own draw stood still with it while the load changed.
  [[nodiscard]] bool stuck() const;
  [[nodiscard]] absl::Duration equal_for() const { return last_at_ - since_; }
  // Lower bound of the energy that left the battery while the charge was equal.
  [[nodiscard]] Joules least_out() const { return out_; }

 private:
  [[nodiscard]] Joules LeastOut(const ChargeState& charge, const std::optional<Joules>& drawn,
                                absl::Duration passed) const;

  const Fraction step_;
  const Fraction error_;
  StuckPower draw_;
  std::optional<ChargeState> last_;
  Monotonic since_;
  Monotonic last_at_;
  Joules out_;
  // The joules between the last two moves if the gauge reports no draw. At dawn each move takes
  // more of the meter's joules than the one before, because a panel carries more of the load.
  Joules last_step_;
  bool charged_ = false;  // the battery was seen to charge: it may have a panel
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_STUCK_H_
