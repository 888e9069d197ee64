// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// PowerOff decides when a board switches itself off, which is the last step of the guard's ladder.
// Below the reserve no work runs, and only the idle draw is left, which empties a pack all the
// same. Below the policy's charge the board goes off. What brings the board back is its hardware: a
// UPS that starts it at some charge, or a clock. Reads no clock; a value.
#ifndef WATTLE_WORKER_AGENT_CORE_POWER_OFF_H_
#define WATTLE_WORKER_AGENT_CORE_POWER_OFF_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"
#include "policy/limits.h"
#include "units/quantity.h"

namespace wattle::agent {

class PowerOff {
 public:
  // So long the charge must be below the limit without a break, also after a start: reports go out,
  // and a person at the board has time to hold it.
  static constexpr absl::Duration kWait = absl::Minutes(10);
  // Between the announcement to the coordinator and the end.
  static constexpr absl::Duration kFarewell = absl::Seconds(10);
  // Until the next try where the board did not go off.
  static constexpr absl::Duration kRetry = absl::Hours(1);

  struct Moment {
    Monotonic now{};                   // device time
    std::optional<Fraction> charge{};  // absent: no reading that counts
    std::optional<Watts> into_pack{};  // absent: not known
    bool in_use = false;               // by work, an upgrade or the board's owner
  };

  // Looks at the board. Returns whether the board is to go off now, once for each try.
  bool GoesOff(const std::optional<policy::ReserveLimit>& limit, const Moment& moment);
  // Why the board is about to go off, for people; "": it is not.
  [[nodiscard]] const std::string& reason() const { return reason_; }
  // The device time at which GoesOff wants to be asked again; nullopt: with the next reading.
  [[nodiscard]] std::optional<Monotonic> NextStep() const;

 private:
  std::optional<Monotonic> below_since_;
  std::optional<Monotonic> tried_;
  std::string reason_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_POWER_OFF_H_
