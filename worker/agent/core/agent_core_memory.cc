// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The effects of other programs on the machine. A shortage of memory: running work stops with a
// checkpoint, no new work begins, and the heartbeat gives the reason. Busy processors: the receipt
// reports them.
#include <string>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "worker/agent/core/agent_core.h"

namespace wattle::agent {

void AgentCore::OnMemoryStalled(absl::Duration stalled, const Instant& now) {
  const std::string before = memory_pressure_.problem();
  memory_pressure_.OnStalled(now.wall, stalled);
  const std::string& problem = memory_pressure_.problem();
  if (problem != before) {
    ports_.Note(problem.empty() ? "memory: there is enough again" : problem);
    next_heartbeat_ = now.wall;  // at once, because the coordinator plans with it
  }
}

// The upload of a complete result takes little memory.
void AgentCore::CheckMemory(const Instant& now) {
  const std::string& problem = memory_pressure_.problem();
  if (!problem.empty() && run_ != nullptr && !run_->stopping() && !run_->has_result() &&
      !WATTLE_FAULT_POINT("memory of others")) {
    memory_stop_ = problem;
    run_->Stop(StopReason::kMemory, now);
  }
}

void AgentCore::OnBoardLoad(const BoardLoad& load, const Instant& now) {
  const bool contended = contention_.OnLoad(now.wall, load);
  if (run_ != nullptr) {
    run_->OnContended(contended, now);
  }
}

}  // namespace wattle::agent
