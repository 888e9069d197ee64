// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// State of charge of a battery that reports only volts and amperes. The counter integrates the
// current, and the voltage bounds the count so that the count cannot drift. The voltage of a loaded
// battery lies below that of the same battery at rest, and that of a charging one above it. A
// voltage is thus always a bound on one side: during discharge the battery holds at least the
// charge of the curve at rest, during charge at most. Once the battery has rested, the voltage is a
// bound on both sides.
//
// The result is an interval that contains the true charge, given as its middle and half its width.
// Each ampere-second widens the interval by the errors of the meter and the stated capacity; each
// bound from the voltage narrows it. If count and voltage contradict each other, the voltage is
// right: the battery was replaced, or was charged between readings.
//
// Pure: times come with the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_BATTERY_CHARGE_COUNTER_H_
#define WATTLE_TELEMETRY_BATTERY_CHARGE_COUNTER_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// Charge is counted in joules of the stated capacity: ampere-seconds at the mean voltage of the
// curve.
struct BatteryCurrent {
  Monotonic at{};
  std::string source{};  // another source is another battery
  Joules capacity{};
  Watts drain{};  // out of the battery; negative: into it
  // A current of at most this, in either direction, is rest: `low` and `high` allow for it.
  Watts rest_drain{};
  // Charge of a battery at rest at this voltage, within the errors of curve and meter: at least
  // `low` and at most `high`.
  Fraction low{};
  Fraction high{};
  absl::Duration rest_time{};  // from the end of a load until the voltage equals that of a battery
                               // at rest
  double charge_loss = 0;      // largest share of the inflow that is not stored
};

struct CountedCharge {
  Fraction state_of_charge{};
  Fraction error{};  // the truth is no farther away
};

class ChargeCounter {
 public:
  // A counter's state, from which the counter continues after a restart. at: time of its last
  // reading, on the clock of the readings to come.
  struct Standing {
    std::string source{};
    Joules capacity{};
    CountedCharge charge{};
    Monotonic at{};
  };

  ChargeCounter() = default;

  // REQUIRES: no reading yet. A standing of another source or capacity than the first reading's is
  // dropped, and so is one of a later time.
  void Resume(const Standing& standing) { standing_ = standing; }

  // REQUIRES: capacity > 0; rest_drain > 0; 0 <= low <= high <= 1. A reading that is not newer than
  // the last one changes nothing.
  CountedCharge Add(const BatteryCurrent& reading);

  // Absent before the first reading.
  [[nodiscard]] const std::optional<Standing>& standing() const { return standing_; }

  // Over a longer time between two readings nothing is counted: the interval widens, by the whole
  // capacity in kUnseenTime.
  static constexpr absl::Duration kGapMax = absl::Minutes(2);
  static constexpr absl::Duration kUnseenTime = absl::Hours(4);

 private:
  struct Interval {
    double low = 0;
    double high = 1;
  };
  // How currents in one direction have moved the voltage.
  struct Stir {
    bool Moves(Monotonic at, Watts now, const BatteryCurrent& reading);
    Monotonic last{};  // more than a resting current, or unknown
    Watts strength{};  // of the currents so far, as far as they still move the voltage at `seen`
    Monotonic seen{};
  };
  void Begin(const BatteryCurrent& reading);
  void Count(const BatteryCurrent& reading);
  void Bound(const BatteryCurrent& reading);

  std::optional<Standing> standing_;
  Interval charge_;
  std::optional<Watts> drain_;  // of the last reading; absent if an earlier process took it
  bool begun_ = false;          // a reading was added
  Stir loaded_;
  Stir charged_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_BATTERY_CHARGE_COUNTER_H_
