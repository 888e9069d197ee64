// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// TimeKeeper determines the time and its error. The first source is the kernel's clock if a time
// service keeps it, the second the time in the coordinator's welcome, which boot time continues
// with an error that grows by 100 ppm. After a reboot both are missing: then only the floor
// remains, a time that was known once. All decisions of the worker by time use TimeKeeper, and
// never the wall clock: after a night without power a board's wall clock may be hours late and yet
// look set. One thread owns an object.
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

// The wall clock, as reported by the kernel.
struct SystemTime {
  absl::Time time{};
  std::optional<absl::Duration> error{};  // absent: no time service keeps it
};

class TimeKeeper {
 public:
  // No clock that shows an earlier time is right: Wattle did not exist yet.
  static constexpr absl::Time kWritten = absl::FromUnixSeconds(1'735'689'600);  // 2025-01-01

  // Sets a lower bound of the true time: the time of the board's certificate, or a time that was
  // once known. The latest bound counts.
  void RaiseFloor(absl::Time floor);
  [[nodiscard]] absl::Time floor() const { return floor_; }
  // Takes over the time of an earlier process: in the same boot as the time, otherwise as a floor.
  void Resume(const v1::ClockRecord& kept, const std::string& boot_id);

  // Notes the coordinator's time `told`. The other two are when the question left and when the
  // answer came. Returns the time of the answer; unknown if the coordinator's clock is not set
  // either.
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
