// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The agent's commands during a task: continue with the next step (paced runs), or stop. One thread
// reads the commands; the engine's thread queries the barrier at step boundaries. The end of the
// stream ends the process, because without its agent the result has no recipient. The same thread
// reports that the process is alive, even during a step that takes hours.
#ifndef WATTLE_WORKER_RUNNER_STEP_BARRIER_H_
#define WATTLE_WORKER_RUNNER_STEP_BARRIER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "absl/time/time.h"

#include "wattle/v1/runner.pb.h"
#include "worker/engine/progress.h"
#include "worker/runner/frame_channel.h"

namespace wattle::runner {

class StepBarrier {
 public:
  // gated: every step waits for its own Continue.
  explicit StepBarrier(bool gated) : gated_(gated) {}

  void Apply(const v1::RunnerCommand& command);

  // Call after a step: waits if gated. A stop is final and returns at once.
  engine::StepDecision AfterStep();

  // Whether the agent has ordered a checkpoint since the last call.
  bool TakeCheckpointOrder();

 private:
  const bool gated_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t continues_ = 0;            // received and not yet used; guarded by mutex_
  bool checkpoint_ordered_ = false;  // guarded by mutex_
  engine::StepDecision decision_ = engine::StepDecision::kGoOn;  // guarded by mutex_
};

// How often the runner reports that it is alive.
inline constexpr absl::Duration kAlivePeriod = absl::Seconds(2);

// Reads commands into the barrier until the process ends, and calls `tell_alive` at least every
// kAlivePeriod. The thread that it starts is detached; the references must live as long as the
// process. Ends the process when the stream ends or breaks.
void FollowCommands(FrameChannelReader& reader, StepBarrier& barrier,
                    std::function<void(const v1::RunnerFrame&)> tell_alive);

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_STEP_BARRIER_H_
