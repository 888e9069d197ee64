// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/gate.h"

#include <unistd.h>

#include <thread>

namespace wattle::runner {
namespace {

constexpr int kExitAgentGone = 3;

}  // namespace

void Gate::Apply(const v1::RunnerCommand& command) {
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
    case v1::RunnerCommand::COMMAND_NOT_SET:
      break;  // of a newer agent
  }
  changed_.notify_all();
}

engine::StepDecision Gate::AfterStep() {
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

void FollowCommands(int descriptor, Gate& gate) {
  std::thread([descriptor, &gate] {
    FrameReader reader(descriptor);
    v1::RunnerCommand command;
    while (true) {
      const auto more = reader.Read(command);
      if (!more.ok() || !*more) {
        _exit(kExitAgentGone);  // no clean-up: the engine's thread is in the middle of a step
      }
      gate.Apply(command);
    }
  }).detach();
}

}  // namespace wattle::runner
