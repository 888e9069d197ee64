// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Device time. On a real device, device time is boot time. An emulated board has a clock of its
// own, which the agent moves: it stands still while this machine has not done the work that the
// board is to have done, so that this machine's speed is in no figure of the board. Sampling,
// energy and progress use device time; heartbeats, leases and the link's timeouts use wall time.
// One thread.
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
  // The clock of a real device.
  DeviceClock() = default;
  // The clock of an emulated board, which boots now. time_scale: the fewest wall seconds for a
  // device second; 0: as few as this machine needs.
  DeviceClock(Monotonic wall, double time_scale)
      : own_(true),
        paced_(time_scale > 0),
        time_scale_(time_scale > 0 ? time_scale : 1),
        wall_mark_(wall) {}

  [[nodiscard]] Instant At(Monotonic wall, const policy::KnownTime& civil) const {
    return {wall, own_ ? device_ : wall, civil};
  }
  // When the clock shows `device` at the earliest, if it has a pace.
  [[nodiscard]] Monotonic ToWall(Monotonic device) const {
    return own_ ? wall_mark_ + (device - device_mark_) * time_scale_ : device;
  }
  // Wall seconds for a device second, as an estimate; 1 on a real device and without a pace.
  [[nodiscard]] double time_scale() const { return time_scale_; }

  // The next two are for an emulated board's clock.
  [[nodiscard]] bool paced() const { return paced_; }
  // What the clock shows at the latest, if it has a pace.
  [[nodiscard]] Monotonic ToDevice(Monotonic wall) const {
    return device_mark_ + (wall - wall_mark_) / time_scale_;
  }
  void MoveTo(Monotonic device) { device_ = device; }
  // The clock stands since `wall`. Its pace counts from here.
  void Stand(Monotonic wall) {
    wall_mark_ = wall;
    device_mark_ = device_;
  }

 private:
  bool own_ = false;
  bool paced_ = true;
  double time_scale_ = 1;
  Monotonic device_;
  // The pace is counted from this moment on both clocks.
  Monotonic wall_mark_;
  Monotonic device_mark_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_DEVICE_CLOCK_H_
