// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The end of a run: its last joules, its report, the files that stay on the disk.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/fault_point.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/attempt_facts_internal.h"

namespace wattle::agent {
namespace {

constexpr char kLeaseEnded[] = "lease ended without contact to the coordinator";

v1::AttemptFailed FailedOf(const v1::HeldAttemptRecord& record, const AttemptEnd& end) {
  v1::AttemptFailed failed;
  SetAttempt(record.assignment(), &failed);
  failed.set_failure_class(end.failure_class);
  failed.set_message(end.message);
  failed.set_checkpoint_step(record.newest_checkpoint_step());
  *failed.mutable_receipt() = record.receipt();
  return failed;
}

// A measurement that is cut off is useless, so no part of it is continued later.
void EndMeasurement(const std::string& reason, v1::HeldAttemptRecord& record, v1::Report& report) {
  const AttemptEnd end = {.kind = AttemptEnd::Kind::kFailed,
                          .failure_class = v1::FAILURE_CLASS_POWER,
                          .message = absl::StrCat("the measurement was cut off: ", reason)};
  record.set_state(v1::ATTEMPT_STATE_FAILED);
  record.mutable_receipt()->set_failure_class(end.failure_class);
  record.mutable_receipt()->set_failure_message(end.message);
  *report.mutable_failed() = FailedOf(record, end);
}

}  // namespace

void AgentCore::SetIdle(const Instant& now) {
  const bool paused = std::any_of(held_.begin(), held_.end(), [](const auto& held) {
    return !IsTerminal(held.second.state());
  });
  const Activity activity = paused ? Activity::kPaused : Activity::kIdle;
  account_.SetActivity(now.device, activity);
  pace_.SetActivity(now.device, activity);
}

bool AgentCore::BooksClosed(const Instant& now) {
  if (!ended_at_) {
    ended_at_ = now.device;
    SetIdle(now);
  }
  if (account_.AwaitsReading(*ended_at_) && now.device < *ended_at_ + kLastReadingWait) {
    return false;
  }
  if (account_.settled() < *ended_at_) {
    account_.Settle(*ended_at_);
  }
  return true;
}

void AgentCore::HandleEnd(const Instant& now) {
  ended_at_.reset();
  const AttemptEnd end = *run_->end();
  v1::HeldAttemptRecord record = run_->Snapshot(now);
  if (end.kind == AttemptEnd::Kind::kFailed) {
    run_->Log(absl::StrCat("failed: ", end.message), now);
  }
  device_.set_tokens(device_.tokens() + run_->TakeTokens());
  // Before the report, with the run's last joules: a reported receipt is never above the ledger.
  SaveDevice(now);
  seen_stop_of_ = record.assignment().attempt_id();
  seen_stop_ = run_->StopEstimateNow();
  run_.reset();
  account_.EndAttempt();
  EndRun(std::move(record), end, now);
  SetIdle(now);
  ReportLedger(now);
}

std::string AgentCore::PauseReason(StopReason reason, const Instant& now) const {
  if (reason == StopReason::kOwner) {
    // The owner may have released the board while the runner was still writing its checkpoint.
    return owner_hold_.active() ? owner_hold_.Reason(now) : "was held by its owner";
  }
  return reason == StopReason::kGuard     ? guard_.reason()
         : reason == StopReason::kStorage ? storage_stop_
         : reason == StopReason::kMemory  ? memory_stop_
                                          : kLeaseEnded;
}

void AgentCore::EndRun(v1::HeldAttemptRecord record, const AttemptEnd& end, const Instant& now) {
  const std::string id = record.assignment().attempt_id();
  if (std::exchange(forget_runs_, false)) {
    Forget(id);
    state_.RemoveAllWork();
    reconciled_ = false;
    return;
  }
  if (end.waits_for_upload) {
    return KeepForUpload(std::move(record), *end.output, now);
  }
  v1::Report report;
  switch (end.kind) {
    case AttemptEnd::Kind::kFinished: {
      CrashPoint("finish");
      record.set_state(v1::ATTEMPT_STATE_FINISHED);
      SetAttempt(record.assignment(), report.mutable_finished());
      *report.mutable_finished()->mutable_receipt() = record.receipt();
      if (end.output) {
        *report.mutable_finished()->mutable_output() = *end.output;
      }
      break;
    }
    case AttemptEnd::Kind::kFailed: {
      record.set_state(v1::ATTEMPT_STATE_FAILED);
      *report.mutable_failed() = FailedOf(record, end);
      break;
    }
    case AttemptEnd::Kind::kStopped: {
      if (end.stop == StopReason::kShutdown || end.stop == StopReason::kRelease) {
        record.set_state(v1::ATTEMPT_STATE_PAUSED);
        record.set_stopped_in_order(true);
        held_[id] = record;
        SaveAttempt(record, now);
        return;
      }
      if (end.stop == StopReason::kUnwanted) {
        record.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
        SetAttempt(record.assignment(), report.mutable_stopped());
        *report.mutable_stopped()->mutable_receipt() = record.receipt();
        report.mutable_stopped()->set_checkpoint_step(record.newest_checkpoint_step());
        if (WATTLE_FAULT_POINT("stopped energy")) {
          report.mutable_stopped()->mutable_receipt()->clear_total();
        }
        break;
      }
      if (record.assignment().has_profile_point()) {
        EndMeasurement(PauseReason(end.stop, now), record, report);
        break;
      }
      record.set_state(v1::ATTEMPT_STATE_PAUSED);
      record.set_stopped_in_order(end.stop == StopReason::kOwner ||
                                  end.stop == StopReason::kStorage);
      SetAttempt(record.assignment(), report.mutable_paused());
      report.mutable_paused()->set_checkpoint_step(record.newest_checkpoint_step());
      report.mutable_paused()->set_reason(PauseReason(end.stop, now));
      break;
    }
  }
  if (IsTerminal(record.state())) {
    RememberEnd(report);
  }
  Report(std::move(report), now);
  CrashPoint("reported");
  held_[id] = record;
  SaveAttempt(record, now);
  if (IsTerminal(record.state())) {
    CountEnd(record.state());
    if (end.kind == AttemptEnd::Kind::kFinished && end.output) {
      KeepResult(id, now);
    } else {
      state_.RemoveOutput(id);
    }
  }
}

// Reports ends that are on the disk, so that their attempts do not restart. The power was cut after
// the end was written, and the report and the record of the attempt were lost.
void AgentCore::TellLostEnds(const Instant& now) {
  for (const std::string& id : order_) {
    v1::HeldAttemptRecord& record = held_.at(id);
    if (IsTerminal(record.state()) || WaitsForUpload(id) || !HasEnded(record.assignment())) {
      continue;
    }
    const v1::Report end = *EndRemembered(id);
    TakeEnd(end, record);
    Report(end, now);
    SaveAttempt(record, now);
    CountEnd(record.state());
    state_.RemoveOutput(id);
  }
}

void AgentCore::CountEnd(v1::AttemptState state) {
  for (v1::AttemptCount& count : *device_.mutable_attempts()) {
    if (count.state() == state) {
      count.set_count(count.count() + 1);
      return;
    }
  }
  v1::AttemptCount& count = *device_.add_attempts();
  count.set_state(state);
  count.set_count(1);
}

}  // namespace wattle::agent
