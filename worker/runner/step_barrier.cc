// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/step_barrier.h"

#include <time.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "base/clock.h"

namespace wattle::runner {
namespace {

constexpr int kExitAgentGone = 3;

// CPU time of the whole process, all threads.
double ProcessorSeconds() {
  timespec used = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

}  // namespace

void StepBarrier::Apply(const v1::RunnerCommand& command) {
  const std::lock_guard<std::mutex> lock(mutex_);
  switch (command.command_case()) {
    case v1::RunnerCommand::kContinueStep:
      ++continues_;
      break;
    case v1::RunnerCommand::kStop:
      if (decision_ != engine::StepDecision::kDiscard) {
        decision_ =
            command.stop().discard() ? engine::StepDecision::kDiscard : engine::StepDecision::kStop;
      }
      break;
    case v1::RunnerCommand::kWriteCheckpoint:
      checkpoint_ordered_ = true;
      break;
    case v1::RunnerCommand::COMMAND_NOT_SET:
      break;  // sent by a newer agent
  }
  changed_.notify_all();
}

engine::StepDecision StepBarrier::AfterStep() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (gated_) {
    changed_.wait(lock,
                  [this] { return continues_ > 0 || decision_ != engine::StepDecision::kGoOn; });
    if (continues_ > 0) {
      --continues_;
    }
  }
  return decision_;
}

bool StepBarrier::TakeCheckpointOrder() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(checkpoint_ordered_, false);
}

void FollowCommands(FrameChannelReader& reader, StepBarrier& barrier,
                    std::function<void(const v1::RunnerFrame&)> tell_alive) {
  std::thread([&reader, &barrier, tell_alive = std::move(tell_alive)] {
    v1::RunnerCommand command;
    Monotonic next_alive = Clock::Real().Boottime();
    while (true) {
      const Monotonic now = Clock::Real().Boottime();
      if (now >= next_alive) {
        v1::RunnerFrame frame;
        frame.mutable_alive()->set_cpu_seconds(ProcessorSeconds());
        tell_alive(frame);
        next_alive = now + kAlivePeriod;
      }
      const auto outcome = reader.Read(command, next_alive - now);
      if (!outcome.ok() || *outcome == FrameChannelReader::Outcome::kEnd) {
        _exit(kExitAgentGone);  // no clean-up in the middle of the engine's step
      }
      if (*outcome == FrameChannelReader::Outcome::kMessage) {
        barrier.Apply(command);
      }
    }
  }).detach();
}

}  // namespace wattle::runner
