// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core's use of the link: heartbeats, the time, and when artifacts may be transferred.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "policy/heartbeat_interval.h"
#include "proto/heartbeat_changes.h"
#include "units/format.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/attempt_facts_internal.h"

namespace wattle::agent {
namespace {

// The time to the next try after the disk refused the dates of reports.
constexpr absl::Duration kDateRetry = absl::Seconds(5);

absl::Time FromUnix(double seconds) {
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

// The report is dated with the boot time of this boot.
bool IsUndated(const v1::Report& report) {
  return report.at_unix_seconds() > 0 && FromUnix(report.at_unix_seconds()) < TimeKeeper::kWritten;
}

void Date(absl::Time at, v1::Report& report) {
  at = std::max(at, TimeKeeper::kWritten);
  report.set_at_unix_seconds(absl::ToDoubleSeconds(at - absl::UnixEpoch()));
  report.set_restamped(true);
  if (report.has_ledger()) {
    report.mutable_ledger()->set_at_unix_seconds(report.at_unix_seconds());
  }
}

}  // namespace

// An older coordinator would treat a stretched interval as a lost device.
absl::Duration AgentCore::HeartbeatInterval() const {
  return takes_heartbeat_changes_ ? policy::HeartbeatInterval(limits_, heartbeat_period_)
                                  : heartbeat_period_;
}

void AgentCore::SendHeartbeat(const Instant& now) {
  v1::WorkerMessage message;
  v1::Heartbeat heartbeat = MakeHeartbeat(now);
  if (told_heartbeat_) {
    *message.mutable_heartbeat_changes() = ChangesOf(*told_heartbeat_, heartbeat);
    ApplyChanges(message.heartbeat_changes(), *told_heartbeat_);
  } else {
    if (takes_heartbeat_changes_) {
      AddOlderHarvest(heartbeat);
      told_heartbeat_ = heartbeat;
    }
    *message.mutable_heartbeat() = std::move(heartbeat);
  }
  ports_.Send(message);
}

// The daily bytes of a policy count artifacts and messages, but hold back only artifacts.
std::string AgentCore::LinkClosed(const Instant& now) const {
  if (limits_.link_bytes_per_day && link_.day_bytes() >= *limits_.link_bytes_per_day &&
      !WATTLE_FAULT_POINT("link bytes")) {
    return absl::StrCat("the link has carried ", FormatBytes(link_.day_bytes()),
                        " today, and a policy allows ", FormatBytes(*limits_.link_bytes_per_day));
  }
  if (policy::OpenFor(limits_.link_windows, now.civil) > absl::ZeroDuration() ||
      WATTLE_FAULT_POINT("link window")) {
    return "";
  }
  const policy::WindowLimit& first = limits_.link_windows.front();
  return now.civil.known() ? absl::StrCat("artifacts may come and leave ", policy::Describe(first),
                                          " (policy ", first.policy, ")")
                           : absl::StrCat("the device does not know the time, and policy ",
                                          first.policy, " says when artifacts may come and leave");
}

void AgentCore::OnLinkBytes(const v1::LinkBytes& bytes, const Instant& now) {
  link_.Count(bytes);
  if (run_ != nullptr) {
    run_->CheckLink(now);
  }
  CheckTransfer(now);
}

bool AgentCore::HasInputs(const v1::HeldAttemptRecord& record) const {
  const auto is_cached = [&](const std::string& id) {
    return std::find(cached_.begin(), cached_.end(), id) != cached_.end();
  };
  const v1::Assignment& assignment = record.assignment();
  const std::string& checkpoint = assignment.checkpoint_artifact_id();
  return (checkpoint.empty() || record.started() || is_cached(checkpoint)) &&
         std::all_of(
             assignment.inputs().begin(), assignment.inputs().end(),
             [&](const v1::ResolvedInput& input) { return is_cached(input.artifact_id()); });
}

void AgentCore::CheckTransfer(const Instant& now) {
  if (handing_over_.empty() && returning_.empty() && prefetching_.empty() &&
      !upgrader_.fetching()) {
    transfer_ended_ = false;
  } else if (!transfer_ended_ && !LinkClosed(now).empty()) {
    transfer_ended_ = true;
    ports_.CancelTransfer();
  }
}

Instant AgentCore::TakeTime(const v1::Welcome& welcome, const Instant& now) {
  link_.OnRoundTrip(now.wall - greeted_);
  Instant informed = now;
  const policy::KnownTime told =
      time_.OnCoordinator(FromUnix(welcome.coordinator_unix_seconds()), greeted_, now.wall);
  if (!now.civil.known() && told.known()) {
    informed.civil = told;
  }
  if (undated_reports_) {
    DateReports(informed);
  }
  return informed;
}

// The coordinator distinguishes two reports with one number by their time, so no report is sent
// before its final time is known. If the coordinator does not know the time either, the present
// guess is final.
void AgentCore::SendPending() {
  reports_wait_ = undated_reports_;
  if (reports_wait_) {
    return;
  }
  for (const v1::Report& report : spool_.pending()) {
    v1::WorkerMessage message;
    *message.mutable_report() = report;
    ports_.Send(message);
  }
}

double AgentCore::StampOf(const Instant& now) {
  if (now.civil.known() || welcomed_) {
    return absl::ToDoubleSeconds(now.civil.time - absl::UnixEpoch());
  }
  undated_reports_ = true;
  return std::max(absl::ToDoubleSeconds(now.wall.since_boot()), 1e-3);
}

void AgentCore::DateReports(const Instant& now) {
  const auto date = [&](v1::Report& report) {
    if (IsUndated(report)) {
      const absl::Duration since_boot = absl::Seconds(report.at_unix_seconds());
      Date(now.civil.time - (now.wall.since_boot() - since_boot), report);
    }
  };
  for (v1::Report& report : unsaved_) {
    date(report);
  }
  if (std::any_of(spool_.pending().begin(), spool_.pending().end(), IsUndated)) {
    if (const absl::Status changed = spool_.Change(date); !changed.ok()) {
      next_flush_ = now.wall + kDateRetry;
      return NoteDisk(changed, now);
    }
  }
  undated_reports_ = false;
}

// How long the board was off is unknown: the latest time that was known before is the best date.
void AgentCore::DateReportsOfEarlierBoots() {
  if (!std::any_of(spool_.pending().begin(), spool_.pending().end(), IsUndated)) {
    return;
  }
  // Without the disk the reports keep the boot time of another boot, and get a slightly late date.
  spool_
      .Change([this](v1::Report& report) {
        if (IsUndated(report)) {
          Date(time_.floor(), report);
        }
      })
      .IgnoreError();
}

}  // namespace wattle::agent
