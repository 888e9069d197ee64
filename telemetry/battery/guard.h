// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The guard decides whether work may go on, with or without a coordinator: the battery's reserve
// and what the device needs to stay alive, the temperature limit, the day's energy budget, the
// windows of the day. The promise: above idle draw, no joule is spent on Wattle's work once the
// true state of charge is at the reserve, beyond the budget, or outside a window. How much earlier
// work must stop is policy/held_back.h.
//
// Three rules for readings. A reading that is older than policy::kReadingAgeMax is none: work stops
// at its next step, and without a reading no work starts. One failed or absurd reading is not an
// empty battery: a jump that no battery can make is set aside, and believed once it has stood for
// kSuspectHold. A limit that was exceeded stays exceeded until a reading says otherwise: if the
// thermometer fails, the device stays too hot.
//
// Pure: times come with the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_BATTERY_GUARD_H_
#define WATTLE_TELEMETRY_BATTERY_GUARD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"
#include "policy/held_back.h"
#include "policy/limits.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// A value and when it was taken, on the device's clock.
template <typename Value>
struct Timed {
  Value value{};
  Monotonic at{};
};

// When the guard is asked, and what the agent knows besides readings.
struct GuardMoment {
  Monotonic now{};              // on the device's clock
  absl::Time civil{};           // for times of day; may be wrong (policy::ClockIsSet)
  double time_scale = 1;        // wall seconds for each device second
  Joules budget_spent{};        // by work in the budget's present day
  std::optional<Watts> idle{};  // draw when nothing runs; absent: not measured yet
};

struct GuardSettings {
  bool has_gauge = false;        // the device has a battery gauge, also while the gauge fails
  Fraction gauge_error{};        // a charge may be off by this share of the capacity
  bool has_thermometer = false;  // also while the thermometer fails
};

class Guard {
 public:
  // A charge that contradicts the last one must stand for this long before it is believed.
  static constexpr absl::Duration kSuspectHold = absl::Seconds(20);

  explicit Guard(const GuardSettings& settings) : settings_(settings) {}

  // A reading. One that is not newer than the last one of its kind is ignored. capacity: absent
  // where the gauge does not tell it; the last known one is kept.
  void AddCharge(Monotonic at, Fraction state_of_charge, std::optional<Joules> capacity);
  void AddTemperature(Monotonic at, Celsius temperature);

  // Whether work may go on, or start. Empty: yes; else the reason, for people. estimate: of the
  // attempt that runs or would run next.
  const std::string& Check(const policy::Limits& limits, const policy::StopEstimate& estimate,
                           const GuardMoment& moment);
  [[nodiscard]] const std::string& reason() const { return reason_; }
  // What a policy demands and this device cannot guard; empty: nothing. As of the last Check.
  [[nodiscard]] const std::string& warning() const { return warning_; }

  // The last believed readings, where they are not too old.
  [[nodiscard]] std::optional<Timed<Fraction>> Charge(Monotonic now) const;
  [[nodiscard]] std::optional<Timed<Celsius>> Temperature(Monotonic now) const;
  // Charges that were set aside as impossible, so far.
  [[nodiscard]] int64_t implausible_readings() const { return implausible_readings_; }

 private:
  struct Suspect {
    Timed<Fraction> first;
    Timed<Fraction> last;
  };
  [[nodiscard]] bool Follows(const Timed<Fraction>& before, Monotonic at, Fraction charge) const;
  std::string CheckCharge(const policy::Limits& limits, const policy::StopEstimate& estimate,
                          const GuardMoment& moment);
  std::string CheckWindows(const policy::Limits& limits, const policy::StopEstimate& estimate,
                           const GuardMoment& moment);
  std::string CheckBudget(const policy::Limits& limits, const policy::StopEstimate& estimate,
                          const GuardMoment& moment);
  std::string CheckTemperature(const policy::Limits& limits, Monotonic now);
  void Warn(const std::string& text);

  const GuardSettings settings_;
  std::optional<Timed<Fraction>> charge_;
  std::optional<Suspect> suspect_;
  std::optional<Joules> capacity_;
  std::optional<Timed<Celsius>> temperature_;
  int64_t implausible_readings_ = 0;
  bool low_charge_ = false;
  bool too_hot_ = false;
  bool outside_window_ = false;
  bool over_budget_ = false;
  std::string reason_;
  std::string warning_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_BATTERY_GUARD_H_
