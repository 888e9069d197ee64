// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Detects that the coordinator itself stood still: the process was stopped, the machine slept, or a
// virtual machine was paused. No message could arrive during such a break, so devices are not
// blamed for that silence. Pure.
#ifndef WATTLE_COORDINATOR_CORE_STANDSTILL_DETECTOR_H_
#define WATTLE_COORDINATOR_CORE_STANDSTILL_DETECTOR_H_

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::core {

class StandstillDetector {
 public:
  // break_min: shortest time without a call of Note that counts as a break. Must exceed the time
  // between two calls of a busy coordinator.
  StandstillDetector(Monotonic started, absl::Duration break_min)
      : since_(started), noted_(started), break_min_(break_min) {}

  // The process is running at `now`. A `now` earlier than a previous one changes nothing.
  void Note(Monotonic now);
  // The end of the latest break; the start if there was none.
  [[nodiscard]] Monotonic since() const { return since_; }

 private:
  Monotonic since_;
  Monotonic noted_;
  absl::Duration break_min_;
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_STANDSTILL_DETECTOR_H_
