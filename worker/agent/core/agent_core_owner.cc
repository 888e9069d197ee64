// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Actions of people at the board: its owner holds it for a while or asks for its status; someone
// sets its power mode.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/fault_point.h"
#include "policy/guard_reason.h"
#include "units/format.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/attempt_facts_internal.h"

namespace wattle::agent {

void AgentCore::ResumeHold(const Instant& now) {
  if (device_.has_owner_hold() && !WATTLE_FAULT_POINT("hold lost at restart")) {
    owner_hold_.Resume(device_.owner_hold(), settings_.boot_id, now);
    (void)owner_hold_.EndIfOver(now);
  }
}

absl::Status AgentCore::Hold(absl::Duration time, const Instant& now) {
  if (const absl::Status checked = CheckOwnerHold(time); !checked.ok()) {
    return checked;
  }
  lease_used_ = LeaseUsed(now.wall);  // before the hold, which stops the count
  owner_hold_.Begin(time, now);
  NoteHold(now);
  const absl::Status saved = SaveHold(now);
  Step(now);
  return saved;
}

absl::Status AgentCore::EndHold(const Instant& now) {
  if (!owner_hold_.active()) {
    return absl::OkStatus();
  }
  owner_hold_.Release();
  NoteHold(now);
  const absl::Status saved = SaveHold(now);
  Step(now);
  return owner_hold_.active()
             ? absl::FailedPreconditionError(absl::StrCat(
                   owner_hold_.program(),
                   " runs, and --exclusive gives it the board while it does; end it first"))
             : saved;
}

void AgentCore::OnOwnerProgram(const std::string& program, const Instant& now) {
  if (program == owner_hold_.program()) {
    return;
  }
  lease_used_ = LeaseUsed(now.wall);
  owner_hold_.SetProgram(program);
  NoteHold(now);
  Step(now);
}

void AgentCore::NoteHold(const Instant& now) {
  if (!owner_hold_.active()) {
    lease_since_ = now.wall;
  }
  next_heartbeat_ = now.wall;  // at once, because the coordinator plans with it
  ports_.Note(owner_hold_.active() ? owner_hold_.Reason(now)
                                   : "its owner holds the board no longer");
}

void AgentCore::CheckHold(const Instant& now) {
  if (owner_hold_.EndIfOver(now)) {
    lease_since_ = now.wall;
    next_heartbeat_ = now.wall;
    ports_.Note("the time for which its owner held the board is over");
    (void)SaveHold(now);  // otherwise a restart finds an expired hold
  }
  // A result that waits for its upload needs little of the board, and would have to be made again.
  if (owner_hold_.active() && run_ != nullptr && !run_->stopping() && !run_->has_result()) {
    run_->Stop(StopReason::kOwner, now);
  }
}

void AgentCore::OnPowerModeSetByOthers(const std::string& mode, const Instant& now) {
  ports_.Note(absl::StrCat("power mode ", mode, " was set by others (before: ",
                           settings_.info.power_mode(), "); it stays"));
  ports_.KeepPowerMode();
  if (!WATTLE_FAULT_POINT("mode of the owner")) {
    own_power_mode_ = mode;
  }
  settings_.info.set_power_mode(mode);
  if (run_ != nullptr) {
    mode_of_others_ = true;
    run_->SetPowerMode(mode);
  }
  if (welcomed_) {
    ports_.Reconnect();  // the hello informs the coordinator's planner
  }
  Step(now);
}

absl::Status AgentCore::SaveHold(const Instant& now) {
  SaveDevice(now);
  return device_unsaved_ ? absl::UnavailableError(
                               "the disk refuses the record of it (the log says why): a restart of "
                               "the worker goes back to what was before")
                         : absl::OkStatus();
}

std::string AgentCore::OwnerStatus(const Instant& now) const {
  std::string text = absl::StrCat(settings_.info.name(), " (", settings_.info.device_id(), ")\n");
  absl::StrAppend(&text, "coordinator: ", welcomed_ ? "connected" : "not connected", "\n");
  if (owner_hold_.active()) {
    absl::StrAppend(&text, owner_hold_.Reason(now), ", for another ",
                    FormatElapsed(owner_hold_.Left(now)), "\n");
  } else if (!guard_.reason().empty()) {
    absl::StrAppend(&text,
                    policy::IsWeakSupply(guard_.reason()) ? "takes no work: " : "held by policy: ",
                    guard_.reason(), "\n");
  }
  if (run_ != nullptr) {
    const v1::AttemptProgress progress = run_->Progress();
    absl::StrAppend(&text, "work: ", progress.attempt_id(), run_->stopping() ? " stops" : " runs",
                    ", ", progress.phase());
    if (progress.steps_total() > 0) {
      absl::StrAppend(&text, ", step ", progress.step(), " of ", progress.steps_total());
    }
    absl::StrAppend(&text, "\n");
  }
  std::vector<std::string> waiting;
  for (const std::string& id : order_) {
    if (!IsTerminal(held_.at(id).state()) && !Runs(id)) {
      waiting.push_back(id);
    }
  }
  if (run_ == nullptr) {
    absl::StrAppend(
        &text, "work: ", waiting.empty() ? "none" : absl::StrCat(waiting.front(), " waits"), "\n");
    waiting.erase(waiting.begin(), waiting.begin() + (waiting.empty() ? 0 : 1));
  }
  if (!waiting.empty()) {
    absl::StrAppend(&text, "behind it: ", absl::StrJoin(waiting, ", "), "\n");
  }
  for (const std::string& id : ended_.results_to_return()) {
    absl::StrAppend(&text, "finished: ", id, ", its result waits for the link\n");
  }
  return text;
}

}  // namespace wattle::agent
