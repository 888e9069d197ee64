// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// RunnerWatch finds a runner that hangs. A runner sends a sign of life every two seconds, with the
// processor time that it has used. The watch therefore distinguishes three cases, in every phase:
// - A long step: signs of life arrive, and the processor is used. The runner may continue.
// - A stopped process (SIGSTOP): nothing arrives for the silence limit. The runner hangs.
// - Stuck work (a deadlock, a disk that does not answer): signs of life arrive, but for the
//   stuck limit, or ten times the longest step if that is longer, the runner has neither used the
//   processor nor ended a step. The runner hangs.
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
  // Silence before the first frame: the process starts and loads its libraries, perhaps from a slow
  // card.
  absl::Duration start = absl::Minutes(3);
  absl::Duration silence = absl::Minutes(1);
  // Longer than the sync of a large checkpoint on a slow card: a sync uses no processor time.
  absl::Duration stuck = absl::Minutes(10);
};

class RunnerWatch {
 public:
  explicit RunnerWatch(const RunnerWatchLimits& limits = {}) : limits_(limits) {}

  void Start(Monotonic now);
  void Stop() { watching_ = false; }

  // A frame that shows work: a phase, a step, a checkpoint, a result, a line for people.
  void OnWork(Monotonic now);
  // A sign of life, with the processor time that the runner has used.
  void OnAlive(double cpu_seconds, Monotonic now);
  // A step ended. Later steps may take ten times as long.
  void OnStep(absl::Duration step_time) { longest_step_ = std::max(longest_step_, step_time); }
  // Sets whether the runner waits at the gate of an emulated board, where it need not work.
  void SetWaiting(bool waiting, Monotonic now);

  // Why the runner counts as hung, as part of a sentence; empty if it does not. Call it at the
  // deadline or earlier: a call that comes much later restarts the runner's time.
  [[nodiscard]] std::string Look(Monotonic now);
  // The next deadline; nullopt if no runner is watched.
  [[nodiscard]] std::optional<Monotonic> deadline() const;

 private:
  [[nodiscard]] Monotonic SilenceDeadline() const;
  [[nodiscard]] Monotonic StuckDeadline() const;

  RunnerWatchLimits limits_;
  bool watching_ = false;
  bool heard_any_ = false;
  bool waiting_ = false;
  Monotonic heard_;         // time of the latest frame
  Monotonic worked_;        // time of the latest sign of work
  double cpu_seconds_ = 0;  // processor time used by worked_
  absl::Duration longest_step_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_RUNNER_WATCH_H_
