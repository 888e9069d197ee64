// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// TimeKeeper knows the time, and how well. It takes the kernel's clock where a time service keeps
// it, else the coordinator's time as its welcome told it, from which boot time runs on with an
// error that grows by 100 ppm. After a reboot neither is known: then only the floor is, a time that
// was known once. Everything in the worker that decides by the time asks TimeKeeper, and nothing
// asks the wall clock: after a night without power a board's wall clock may be hours late and look
// set. One thread owns an object.
#ifndef WATTLE_WORKER_AGENT_CORE_TIME_KEEPER_H_
#define WATTLE_WORKER_AGENT_CORE_TIME_KEEPER_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"
#include "policy/known_time.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/worker_state.pb.h"

namespace wattle::agent {

// The wall clock, as the kernel tells it.
struct SystemTime {
  absl::Time time{};
  std::optional<absl::Duration> error{};  // absent: no time service keeps it
};

class TimeKeeper {
 public:
  // No clock that shows an earlier time is right: Wattle was not written yet.
  static constexpr absl::Time kWritten = absl::FromUnixSeconds(1'735'689'600);  // 2025-01-01

  // The true time is not before this one: that of the board's certificate, or a time that was
  // known. The latest counts.
  void RaiseFloor(absl::Time floor);
  [[nodiscard]] absl::Time floor() const { return floor_; }
  // Takes over the time that an earlier process knew: in the same boot the time, else a floor.
  void Resume(const v1::ClockRecord& kept, const std::string& boot_id);

  // The coordinator told this time between `asked` and `heard`. Returns what is known at `heard`;
  // unknown if the coordinator's clock is not set either.
  policy::KnownTime OnCoordinator(absl::Time told, Monotonic asked, Monotonic heard);

  // wall: boot time now. REQUIRES: not before an earlier call's.
  policy::KnownTime At(Monotonic wall, const SystemTime& system);

 private:
  struct Anchor {
    policy::KnownTime known;
    Monotonic at;
  };
  [[nodiscard]] policy::KnownTime ByAnchor(Monotonic wall) const;

  absl::Time floor_ = kWritten;
  std::optional<Anchor> anchor_;
};

// For the record of the worker. REQUIRES: known.known().
v1::ClockRecord RecordOf(const policy::KnownTime& known, const std::string& boot_id,
                         Monotonic wall);

v1::ClockSource ToProto(policy::TimeSource source);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_TIME_KEEPER_H_
