// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// PowerOff decides when a board switches itself off, the last step of the guard's ladder. Below the
// reserve no work runs, but the idle draw still empties the pack. Below the policy's charge the
// board switches off. The board is brought back by its hardware: a UPS that starts it at some
// charge, or a clock. Reads no clock; a value.
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
  // How long the charge must be below the limit without a break, also after a start. In this time
  // reports are sent, and a person at the board can hold it.
  static constexpr absl::Duration kWait = absl::Minutes(10);
  // Time between the announcement to the coordinator and the end.
  static constexpr absl::Duration kFarewell = absl::Seconds(10);
  // Time until the next try if the board did not switch off.
  static constexpr absl::Duration kRetry = absl::Hours(1);

  struct Moment {
    Monotonic now{};                   // device time
    std::optional<Fraction> charge{};  // absent: no reading that counts
    std::optional<Watts> into_pack{};  // absent: not known
    bool in_use = false;               // by work, an upgrade or the board's owner
  };

  // Checks the board. Returns whether the board must switch off now, once for each try.
  bool GoesOff(const std::optional<policy::ReserveLimit>& limit, const Moment& moment);
  // Why the board is about to go off, for people; "": it is not.
  [[nodiscard]] const std::string& reason() const { return reason_; }
  // The device time of the next call of GoesOff; nullopt: with the next reading.
  [[nodiscard]] std::optional<Monotonic> NextStep() const;

 private:
  std::optional<Monotonic> below_since_;
  std::optional<Monotonic> tried_;
  std::string reason_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_POWER_OFF_H_
