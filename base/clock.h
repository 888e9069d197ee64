// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Time as an argument. Two kinds that cannot be mixed up: wall time (absl::Time, may jump when the
// clock is set) and boot time (Monotonic, CLOCK_BOOTTIME: never goes back, counts suspend).
// Durations of anything measured come from Monotonic. Pure code (scheduler, coordinator/core) takes
// times as values and never sees a Clock.
#ifndef WATTLE_BASE_CLOCK_H_
#define WATTLE_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace wattle {

// An instant since boot.
class Monotonic {
 public:
  constexpr Monotonic() = default;
  constexpr explicit Monotonic(absl::Duration since_boot) : since_boot_(since_boot) {}
  [[nodiscard]] constexpr absl::Duration since_boot() const { return since_boot_; }

  friend constexpr bool operator==(Monotonic a, Monotonic b) {
    return a.since_boot_ == b.since_boot_;
  }
  friend constexpr bool operator!=(Monotonic a, Monotonic b) { return !(a == b); }
  friend constexpr bool operator<(Monotonic a, Monotonic b) {
    return a.since_boot_ < b.since_boot_;
  }
  friend constexpr bool operator>(Monotonic a, Monotonic b) { return b < a; }
  friend constexpr bool operator<=(Monotonic a, Monotonic b) { return !(b < a); }
  friend constexpr bool operator>=(Monotonic a, Monotonic b) { return !(a < b); }
  friend absl::Duration operator-(Monotonic a, Monotonic b) {
    return a.since_boot_ - b.since_boot_;
  }
  friend Monotonic operator+(Monotonic a, absl::Duration d) { return Monotonic(a.since_boot_ + d); }
  friend Monotonic operator-(Monotonic a, absl::Duration d) { return Monotonic(a.since_boot_ - d); }

 private:
  absl::Duration since_boot_ = absl::ZeroDuration();
};

// The two clocks of a machine. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual absl::Time Now() const = 0;
  [[nodiscard]] virtual Monotonic Boottime() const = 0;

  // The machine's own clocks; lives as long as the process.
  static const Clock& Real();
};

}  // namespace wattle

#endif  // WATTLE_BASE_CLOCK_H_
