// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Services of the core for an upgrade of the worker: a turn at the link, the end of the run at a
// checkpoint, and the end of the process.
#include <string>
#include <utility>

#include "worker/agent/core/agent_core.h"

namespace wattle::agent {
namespace {

// How long an upgrade waits for the end of a run without checkpoints, which would have to restart,
// and for the upload of a result.
constexpr absl::Duration kRunPatience = absl::Hours(1);

}  // namespace

void AgentCore::StartUpgrader(std::string unreadable, const Instant& now) {
  const StoredRecord<v1::WorkerRecord> device = state_.ReadDevice();
  if (device.state == RecordState::kUnreadable) {
    unreadable = device.problem;
  }
  upgrader_.Start(unreadable, now.wall);
  upgrader_.OnDesired(desired_);
  StepUpgrade(now);
}

void AgentCore::OnReleaseFetched(const FetchResult& result, const Instant& now) {
  link_.OnFetched(result.moved_bytes, result.moved_in);
  upgrader_.OnFetched(result.status, now.wall);
  TellLineIsFree(now);
  Step(now);
}

void AgentCore::OnSelfTested(const absl::Status& status, const Instant& now) {
  upgrader_.OnSelfTested(status, now.wall);
  Step(now);
}

bool AgentCore::MayEndRunForUpgrade(const Instant& now) const {
  const bool out_of_patience = now.wall - *upgrader_.ready_since() >= kRunPatience;
  return run_ == nullptr || out_of_patience || (run_->keeps_checkpoints() && !run_->has_result());
}

void AgentCore::StepUpgrade(const Instant& now) {
  const bool disk_is_healthy = storage_.problem().empty();
  upgrader_.Step(disk_is_healthy, unsaved_.empty(), now.wall);
  if (auto ended = upgrader_.TakeEnded()) {
    v1::Report report;
    *report.mutable_upgrade_ended() = *std::move(ended);
    Report(std::move(report), now);
    next_heartbeat_ = now.wall;
  }
  if (shutting_down_) {
    return FinishSwitch(now);
  }
  if (upgrader_.wants_restart()) {
    return Shutdown(now);
  }
  if (upgrader_.fetch_is_unwanted() && !std::exchange(transfer_ended_, true)) {
    ports_.CancelTransfer();
  }
  if (upgrader_.wants_fetch(now.wall) && welcomed_ && disk_is_healthy && LineIsFree() &&
      guard_.reason().empty() && LinkClosed(now).empty()) {
    upgrader_.BeginFetch();
    ports_.StartReleaseFetch(upgrader_.order());
  }
  if (upgrader_.ready_since() && disk_is_healthy && MayEndRunForUpgrade(now)) {
    upgrader_.BeginSwitch();
    Shutdown(now);
  }
}

void AgentCore::FinishSwitch(const Instant& now) {
  if (run_ == nullptr && upgrader_.switches()) {
    upgrader_.Switch(now.wall);
    StepUpgrade(now);  // reports a switch that could not be written
  }
}

}  // namespace wattle::agent
