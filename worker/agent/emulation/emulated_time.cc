// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/emulation/emulated_time.h"

#include <algorithm>
#include <optional>

namespace wattle::agent {
namespace {

// A clock with a pace moves in leaps of so much wall time at least, so that a small time scale does
// not cost one wake-up per sample.
constexpr absl::Duration kLeap = absl::Milliseconds(100);
constexpr absl::Duration kLeapIdle = absl::Milliseconds(250);

}  // namespace

// Without a pace a board that rests stands still, so that no figure of it depends on the moment at
// which its next work comes.
Monotonic EmulatedTime::Reach(const Instant& now) {
  const std::optional<Monotonic> busy_until = core_.busy_until();
  if (clock_.paced()) {
    return std::min(busy_until.value_or(clock_.ToDevice(now.wall)), clock_.ToDevice(now.wall));
  }
  if (busy_until) {
    return *busy_until;
  }
  if (core_.rests()) {
    clock_.Stand(now.wall);
    return start_ + kIdleAtStart;
  }
  return clock_.ToDevice(now.wall);
}

void EmulatedTime::Pass(Instant& now) {
  while (true) {
    const Monotonic next = std::min(Reach(now), next_sample_);
    if (next <= now.device && next != next_sample_) {
      return;
    }
    clock_.MoveTo(next);
    now.device = next;
    if (next == core_.busy_until()) {
      clock_.Stand(now.wall);  // from now on the board waits for this machine
    }
    if (next == next_sample_) {
      readings_.OnPoll(0, source_.Poll(next), next);
      next_sample_ = next + source_.info().cadence;
    }
    core_.Step(now);
  }
}

Monotonic EmulatedTime::NextPass(const Instant& now) const {
  return std::max(clock_.ToWall(next_sample_), now.wall + (core_.busy() ? kLeap : kLeapIdle));
}

}  // namespace wattle::agent
