// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The engine's progress as frames, and as lines for a person. Called from the engine's thread.
#ifndef WATTLE_WORKER_RUNNER_FRAME_SINK_H_
#define WATTLE_WORKER_RUNNER_FRAME_SINK_H_

#include <cstdint>
#include <functional>
#include <string>

#include "wattle/v1/runner.pb.h"
#include "worker/engine/progress.h"

namespace wattle::runner {

// Turns the engine's progress into frames for `write`, gets the decision from `after_step` and
// checkpoint orders from `take_checkpoint_order`.
class FrameSink : public engine::ProgressSink {
 public:
  FrameSink(std::function<void(const v1::RunnerFrame&)> write,
            std::function<engine::StepDecision()> after_step,
            std::function<bool()> take_checkpoint_order)
      : write_(std::move(write)),
        after_step_(std::move(after_step)),
        take_checkpoint_order_(std::move(take_checkpoint_order)) {}

  void OnPhase(engine::Phase phase, int64_t from_step, int64_t steps_total) override;
  engine::StepDecision OnStep(const engine::StepReport& report) override;
  bool TakeCheckpointOrder() override { return take_checkpoint_order_(); }
  void OnCheckpoint(const engine::CheckpointReport& report) override;
  void OnLog(const std::string& line) override;

  // Step of the newest checkpoint written; 0: none.
  [[nodiscard]] int64_t checkpointed_step() const { return checkpointed_step_; }

 private:
  std::function<void(const v1::RunnerFrame&)> write_;
  std::function<engine::StepDecision()> after_step_;
  std::function<bool()> take_checkpoint_order_;
  int64_t checkpointed_step_ = 0;
};

// One line, without its end: "train 12/40 loss 3.1415 …".
[[nodiscard]] std::string FrameAsLine(const v1::RunnerFrame& frame);

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_FRAME_SINK_H_
