// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the agent says while a task runs: go on with the next step (paced runs), or stop. A thread
// reads the commands; the engine's thread asks at step boundaries. The end of the stream ends the
// process: without its agent nobody wants it.
#ifndef WATTLE_WORKER_RUNNER_GATE_H_
#define WATTLE_WORKER_RUNNER_GATE_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "wattle/v1/runner.pb.h"
#include "worker/engine/progress.h"
#include "worker/runner/frame_channel.h"

namespace wattle::runner {

class Gate {
 public:
  // gated: every step waits for its own Continue.
  explicit Gate(bool gated) : gated_(gated) {}

  void Apply(const v1::RunnerCommand& command);

  // After a step: waits where gated. A stop is final and answers at once.
  engine::StepDecision AfterStep();

 private:
  const bool gated_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t continues_ = 0;  // given and not yet used; guarded by mutex_
  engine::StepDecision decision_ = engine::StepDecision::kGoOn;  // guarded by mutex_
};

// Reads commands from `descriptor` into the gate until the process ends; the thread it starts is
// detached and owns nothing but the references, which live as long as the process. Ends the process
// when the stream ends or breaks.
void FollowCommands(int descriptor, Gate& gate);

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_GATE_H_
