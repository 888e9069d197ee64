// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Detects whether programs other than the worker and its runner keep the board busy. Reads no
// clock; use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_CONTENTION_H_
#define WATTLE_WORKER_AGENT_CORE_CONTENTION_H_

#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

// Processor time since boot, of all cores together.
struct BoardLoad {
  int cores = 0;        // 0: the load is unknown
  absl::Duration busy;  // of the whole board
  absl::Duration own;   // of the worker, its runner and their children
  // Time in which a program waited for a core (the kernel's "some" total); absent: not offered by
  // the kernel.
  std::optional<absl::Duration> waited{};
};

class Contention {
 public:
  // Whether others kept the board busy since the previous reading: for a tenth of its cores' time,
  // or for a fiftieth while programs waited for a core for a fifth of the time. Waiting programs
  // are no evidence by themselves, because threads of the runner wait for one another. False for
  // the first reading.
  bool OnLoad(Monotonic at, const BoardLoad& load);

 private:
  struct Reading {
    Monotonic at;
    BoardLoad load;
  };
  std::optional<Reading> before_;
  bool contended_ = false;  // at the latest reading that counted
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_CONTENTION_H_
