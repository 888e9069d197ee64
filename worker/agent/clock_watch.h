// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Detects when a board's clocks move against each other: in a suspend (boot time continues, the
// monotonic clock stops), and when the wall clock is set. No measurement depends on either: energy
// is counted in boot time, and a suspend is a gap like any other. ClockWatch informs people,
// because graphs then have a hole or a step. Pure; one thread owns an object.
#ifndef WATTLE_WORKER_AGENT_CLOCK_WATCH_H_
#define WATTLE_WORKER_AGENT_CLOCK_WATCH_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace wattle::agent {

// One moment on the three clocks, since boot and since 1970.
struct ClockReading {
  absl::Duration boottime{};
  absl::Duration monotonic{};  // stops in a suspend
  absl::Time civil{};
};

class ClockWatch {
 public:
  // Smaller differences are the time between the reads of two clocks, or a clock that is being
  // slewed.
  static constexpr absl::Duration kNoticed = absl::Seconds(2);

  // An event since the last reading, for the log; empty: none.
  std::string Observe(const ClockReading& reading);

  [[nodiscard]] absl::Duration suspended() const { return suspended_; }
  [[nodiscard]] int64_t clock_steps() const { return clock_steps_; }

 private:
  std::optional<ClockReading> last_;
  absl::Duration suspended_{};
  int64_t clock_steps_ = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CLOCK_WATCH_H_
