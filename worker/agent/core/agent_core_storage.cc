// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The effects of a sick disk: no new work begins, running work stops with the state that it has,
// and the heartbeat gives the reason, because nothing can be saved.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "worker/agent/core/agent_core.h"

namespace wattle::agent {

void AgentCore::OnStorageProbed(const absl::Status& status, const Instant& now) {
  storage_.OnWritten(WATTLE_FAULT_POINT("NoteDisk alone") ? absl::OkStatus() : status, now.wall);
  Step(now);
}

bool AgentCore::WritesMuch() const {
  const bool fetches = !prefetching_.empty() || upgrader_.fetching();
  return (fetches && !transfer_ended_) || (run_ != nullptr && run_->writes_much());
}

// A fetch may last for hours. Whether the disk or the fetch makes the writes slow can be seen only
// without the fetch.
void AgentCore::EndFetchForProbe(const Instant& now) {
  if ((!prefetching_.empty() || upgrader_.fetching()) && !std::exchange(transfer_ended_, true)) {
    ports_.CancelTransfer();
  }
  if (run_ != nullptr) {
    run_->EndFetchTry(now);
  }
}

void AgentCore::CheckStorage(const Instant& now) {
  if (storage_.TakeDue(now.wall)) {
    ports_.ProbeStorage();
  }
  storage_.Look(WritesMuch(), now.wall);
  if (storage_.suspects()) {
    EndFetchForProbe(now);
  }
  const std::string& problem = storage_.problem();
  if (problem.empty() != storage_told_.empty()) {
    ports_.Note(problem.empty() ? "storage: the disk takes writes again" : "storage: " + problem);
    next_heartbeat_ = now.wall;  // at once, because the coordinator plans with it
    if (problem.empty()) {
      next_retry_ = next_flush_ = next_save_ = now.wall;
    }
  }
  storage_told_ = problem;
  // The upload of a complete result writes nothing.
  if (!problem.empty() && run_ != nullptr && !run_->stopping() && !run_->has_result()) {
    storage_stop_ = problem;
    run_->Stop(StopReason::kStorage, now);
  }
}

}  // namespace wattle::agent
