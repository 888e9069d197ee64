// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// OwnerHold is the time for which the device's owner has the board to themselves (`wattle-worker
// hold --for 1h`). No work runs meanwhile. The hold outlives restarts and reboots:
//   - In the boot in which the hold began, only boot time ends the hold. A clock that is set
//     meanwhile changes nothing.
//   - After a reboot the time of day ends the hold, if it was known both times. Otherwise the
//     remaining powered-on time is kept: the time without power is unknown, and the owner's hour
//     must not be shorter than promised.
// Reads no clock; a value.
#ifndef WATTLE_WORKER_AGENT_CORE_OWNER_HOLD_H_
#define WATTLE_WORKER_AGENT_CORE_OWNER_HOLD_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/core/device_clock.h"

namespace wattle::agent {

// A longer hold amounts to leaving the fleet; `wattle device drain` is for that.
inline constexpr absl::Duration kOwnerHoldMax = absl::Hours(30 * 24);

// Errors: kInvalidArgument unless the time is above 0 and at most kOwnerHoldMax.
absl::Status CheckOwnerHold(absl::Duration time);

class OwnerHold {
 public:
  // Takes over the hold of an earlier process, if there is one.
  void Resume(const v1::OwnerHoldRecord& kept, const std::string& boot_id, const Instant& now);
  // Replaces a hold in progress. REQUIRES: CheckOwnerHold(time) is OK.
  void Begin(absl::Duration time, const Instant& now);
  void Release() { until_.reset(); }
  // Ends the hold once its time is over. Returns whether the hold ended in this call.
  bool EndIfOver(const Instant& now);
  // A program of the owner that has exclusive use of the board while it runs; "": none runs.
  void SetProgram(std::string program) { program_ = std::move(program); }

  [[nodiscard]] bool active() const { return timed() || !program_.empty(); }
  // Whether a time was requested: only that part is kept over a restart, because a restarted worker
  // detects the programs itself.
  [[nodiscard]] bool timed() const { return until_.has_value(); }
  [[nodiscard]] const std::string& program() const { return program_; }
  // Zero without a hold. The end of a program is unknown: it is expected to run for another 10
  // minutes.
  [[nodiscard]] absl::Duration Left(const Instant& now) const;
  // "held by its owner until 2026-11-24 08:50:00 UTC", "held by its owner: blender runs"; ""
  // without a hold.
  [[nodiscard]] std::string Reason(const Instant& now) const;
  // REQUIRES: timed().
  [[nodiscard]] v1::OwnerHoldRecord Record(const std::string& boot_id, const Instant& now);

 private:
  [[nodiscard]] absl::Duration TimeLeft(const Instant& now) const;

  std::optional<Monotonic> until_;         // wall; by powered-on time
  std::optional<absl::Time> until_civil_;  // set if the time was known at some moment of the hold
  bool rebooted_ = false;                  // since the hold began
  std::string program_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_OWNER_HOLD_H_
