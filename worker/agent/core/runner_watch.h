// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds a runner that hangs. A runner says every two seconds that it is alive, with the processor
// time that it has used. So three cases can be told apart, in every phase:
//   a long step        the runner says so and uses the processor: nobody is in a hurry
//   a stopped process  (SIGSTOP) the runner says nothing for the silence limit
//   stuck work         (a deadlock, a disk that does not answer) the runner says that it is alive,
//   but
//                      has neither used the processor nor ended a step for the stuck limit, or for
//                      ten times its longest step
// All times are wall time of this machine (boot time). A value; reads no clock.
#ifndef WATTLE_WORKER_AGENT_CORE_RUNNER_WATCH_H_
#define WATTLE_WORKER_AGENT_CORE_RUNNER_WATCH_H_

#include <algorithm>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

struct RunnerWatchLimits {
  // Of the silence before the first frame: the process starts and loads its libraries from a slow
  // card.
  absl::Duration start = absl::Minutes(3);
  absl::Duration silence = absl::Minutes(1);
  // Longer than the sync of a large checkpoint on a slow card, which uses no processor time.
  absl::Duration stuck = absl::Minutes(10);
};

class RunnerWatch {
 public:
  explicit RunnerWatch(const RunnerWatchLimits& limits = {}) : limits_(limits) {}

  void Start(Monotonic now);
  void Stop() { watching_ = false; }

  // A frame that tells of work: a phase, a step, a checkpoint, a result, a line for people.
  void OnWork(Monotonic now);
  // The runner is alive and has used this much processor time.
  void OnAlive(double cpu_seconds, Monotonic now);
  // A step ended: later ones may take ten times as long.
  void OnStep(absl::Duration step_time) { longest_step_ = std::max(longest_step_, step_time); }
  // A runner that waits at the gate of an emulated board need not work.
  void SetWaiting(bool waiting, Monotonic now);

  // Why the runner counts as hung, as a part of a sentence; empty: it does not. Call it at the
  // deadline or before. A call that comes much later gives the runner its whole time again.
  [[nodiscard]] std::string Look(Monotonic now);
  // nullopt: no runner is watched.
  [[nodiscard]] std::optional<Monotonic> deadline() const;

 private:
  [[nodiscard]] Monotonic SilenceDeadline() const;
  [[nodiscard]] Monotonic StuckDeadline() const;

  RunnerWatchLimits limits_;
  bool watching_ = false;
  bool heard_any_ = false;
  bool waiting_ = false;
  Monotonic heard_;         // when the latest frame came
  Monotonic worked_;        // when the latest sign of work came
  double cpu_seconds_ = 0;  // used by then
  absl::Duration longest_step_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_RUNNER_WATCH_H_
