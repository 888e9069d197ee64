// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The guard decides whether work may go on, with or without a coordinator. The guard checks the
// battery's reserve and the charge that the device needs to stay alive, the temperature limit, the
// day's energy budget, and the windows of the day. The promise: above idle draw, no joule is spent
// on Wattle's work once the true state of charge is at the reserve, the budget is spent, or the
// window is closed. policy/held_back.h says how much earlier work must stop.
//
// Three rules for readings. First, a reading that is older than policy::kReadingAgeMax does not
// count: work stops at its next step, and without a reading no work starts. Second, one failed or
// absurd reading is not an empty battery: the guard sets a jump that no battery can make aside, and
// believes it once it has lasted for kSuspectHold. Third, a limit that was exceeded stays exceeded
// until a reading says otherwise: if the thermometer fails, the device stays too hot.
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
#include "policy/known_time.h"
#include "policy/limits.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// A value and the time when it was taken, on the device's clock.
template <typename Value>
struct Timed {
  Value value{};
  Monotonic at{};
};

// The moment of a check, and the agent's knowledge besides readings.
struct GuardMoment {
  Monotonic now{};            // on the device's clock
  policy::KnownTime civil{};  // for times of day
  double time_scale = 1;      // wall seconds for each device second
  // Energy that work has spent on the budget's day, and after it while the day was unknown; absent:
  // no day of a budget has begun.
  std::optional<Joules> budget_spent{};
  std::optional<Watts> idle{};  // draw when nothing runs; absent: not measured yet
};

struct GuardSettings {
  bool has_gauge = false;        // the device has a battery gauge, also while the gauge fails
  Fraction gauge_error{};        // a charge may be off by this share of the capacity
  bool has_thermometer = false;  // also while the thermometer fails
};

class Guard {
 public:
  // The guard accepts a charge that contradicts the last one only after this time.
  static constexpr absl::Duration kSuspectHold = absl::Seconds(20);
  static constexpr absl::Duration kUnderVoltageHold = absl::Minutes(10);

  explicit Guard(const GuardSettings& settings)
      : settings_(settings), charge_error_(settings.gauge_error) {}

  // Adds a reading. A reading that is not newer than the last one of its kind is ignored. capacity:
  // absent if the gauge does not report it; the guard then keeps the last known capacity. error: by
  // how much this charge may be off, as a share of the capacity; absent: the settings' error.
  void AddCharge(Monotonic at, Fraction state_of_charge, std::optional<Joules> capacity,
                 std::optional<Fraction> error = std::nullopt);
  void AddTemperature(Monotonic at, Celsius temperature);
  // The supply's voltage was too low. Work waits until the voltage has been sufficient for
  // kUnderVoltageHold, because the draw of work may be the cause.
  void AddUnderVoltage(Monotonic at) { under_voltage_at_ = at; }

  // Checks whether work may start or go on. Empty: yes; else the reason, for people. estimate: for
  // the attempt that runs or would run next.
  const std::string& Check(const policy::Limits& limits, const policy::StopEstimate& estimate,
                           const GuardMoment& moment);
  [[nodiscard]] const std::string& reason() const { return reason_; }
  // A demand of a policy that this device cannot guard; empty: none. Set by the last Check.
  [[nodiscard]] const std::string& warning() const { return warning_; }

  // The last believed reading, unless it is too old.
  [[nodiscard]] std::optional<Timed<Fraction>> Charge(Monotonic now) const;
  [[nodiscard]] Fraction charge_error() const { return charge_error_; }  // of that charge
  [[nodiscard]] std::optional<Timed<Celsius>> Temperature(Monotonic now) const;
  // Why work should draw less before it must stop, for people; empty: no limit is near. Set by the
  // last Check.
  [[nodiscard]] const std::string& strain() const { return strain_; }
  // The energy in the battery above the charge at which work stops, at the last Check; nullopt: no
  // policy keeps a reserve, or the charge or the capacity is unknown.
  [[nodiscard]] std::optional<Joules> above_reserve() const { return above_reserve_; }
  // Number of charges that were set aside as impossible.
  [[nodiscard]] int64_t implausible_readings() const { return implausible_readings_; }

 private:
  struct Suspect {
    Timed<Fraction> first;
    Timed<Fraction> last;
  };
  // By how much readings may lie over and under the one before: two may each be off by their error,
  // in opposite directions.
  struct Errors {
    Fraction up, down;
  };
  [[nodiscard]] static bool Follows(const Timed<Fraction>& before, const Timed<Fraction>& reading,
                                    const Errors& errors);
  std::string CheckCharge(const policy::Limits& limits, const policy::StopEstimate& estimate,
                          const GuardMoment& moment);
  std::string CheckWindows(const policy::Limits& limits, const policy::StopEstimate& estimate,
                           const GuardMoment& moment);
  std::string CheckBudget(const policy::Limits& limits, const policy::StopEstimate& estimate,
                          const GuardMoment& moment);
  std::string CheckTemperature(const policy::Limits& limits, Monotonic now);
  [[nodiscard]] std::string CheckSupply(Monotonic now) const;
  void Warn(const std::string& text);
  void Strain(bool near, std::string text);

  const GuardSettings settings_;
  std::optional<Timed<Fraction>> charge_;
  Fraction charge_error_;
  std::optional<Suspect> suspect_;
  std::optional<Joules> capacity_;
  std::optional<Joules> above_reserve_;
  std::optional<Timed<Celsius>> temperature_;
  std::optional<Monotonic> under_voltage_at_;
  int64_t implausible_readings_ = 0;
  bool low_charge_ = false;
  bool too_hot_ = false;
  bool outside_window_ = false;
  bool over_budget_ = false;
  bool near_reserve_ = false;
  bool near_heat_ = false;
  std::string strain_;
  std::string reason_;
  std::string warning_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_BATTERY_GUARD_H_
