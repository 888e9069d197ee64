// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <time.h>

#include "absl/time/clock.h"

#include "base/check.h"

namespace wattle {
namespace {

class RealClock final : public Clock {
 public:
  [[nodiscard]] absl::Time Now() const override { return absl::Now(); }
  [[nodiscard]] Monotonic Boottime() const override {
    timespec now = {};
    WATTLE_CHECK(clock_gettime(CLOCK_BOOTTIME, &now) == 0,
                 "every supported kernel has CLOCK_BOOTTIME");
    return Monotonic(absl::DurationFromTimespec(now));
  }
};

}  // namespace

const Clock& Clock::Real() {
  // Never destroyed: a thread that hangs in a read outlives main.
  static const auto* const clock = new RealClock;
  return *clock;
}

}  // namespace wattle
