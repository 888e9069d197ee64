// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Device time. On a real device, device time is boot time. On an emulated device it runs slower or
// faster: wall seconds = device seconds × time_scale. Sampling, energy and progress use device
// time; heartbeats, leases and the link's timeouts use wall time. A value; thread-safe.
#ifndef WATTLE_WORKER_AGENT_CORE_DEVICE_CLOCK_H_
#define WATTLE_WORKER_AGENT_CORE_DEVICE_CLOCK_H_

#include "absl/time/time.h"

#include "base/clock.h"
#include "policy/known_time.h"

namespace wattle::agent {

// One moment on the three clocks.
struct Instant {
  Monotonic wall;           // boot time
  Monotonic device;         // the device's own
  policy::KnownTime civil;  // may jump; for people and calendars
};

class DeviceClock {
 public:
  // origin: the instant at which both clocks show the same. time_scale > 0.
  DeviceClock(Monotonic origin, double time_scale) : origin_(origin), time_scale_(time_scale) {}
  [[nodiscard]] Monotonic ToDevice(Monotonic wall) const {
    return time_scale_ == 1.0 ? wall : origin_ + (wall - origin_) / time_scale_;
  }
  [[nodiscard]] Monotonic ToWall(Monotonic device) const {
    return time_scale_ == 1.0 ? device : origin_ + (device - origin_) * time_scale_;
  }
  [[nodiscard]] Instant At(Monotonic wall, const policy::KnownTime& civil) const {
    return {wall, ToDevice(wall), civil};
  }
  [[nodiscard]] double time_scale() const { return time_scale_; }

 private:
  Monotonic origin_;
  double time_scale_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_DEVICE_CLOCK_H_
