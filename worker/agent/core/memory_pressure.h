// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Detects whether the machine is so short of memory that its programs wait for it: work then stops
// with a checkpoint, before the kernel kills a program of the owner. Reads no clock; use it from
// one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_MEMORY_PRESSURE_H_
#define WATTLE_WORKER_AGENT_CORE_MEMORY_PRESSURE_H_

#include <deque>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

class MemoryPressure {
 public:
  // stalled: how long all programs have waited for memory since boot (the kernel's "full" total).
  // Memory is short once they waited for 20 % of 10 seconds, and sufficient again once they waited
  // for less than 5 % throughout a minute. Without this hysteresis, work that itself takes too much
  // would start and stop forever.
  void OnStalled(Monotonic at, absl::Duration stalled);
  // One sentence with the cause and the remedy; "": there is enough memory.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  struct Reading {
    Monotonic at;
    absl::Duration stalled;
  };
  std::deque<Reading>
      readings_;  // the first is at least 10 s older than the last, once there is one
  std::optional<Monotonic> calm_since_;  // of a shortage that may be over
  std::string problem_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_MEMORY_PRESSURE_H_
