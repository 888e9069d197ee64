// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's journal for which the worker works (coordinator/core/lineage.h), and the
// worker's reaction when the journal changes: a coordinator was restored from a backup and knows
// less than this worker reported, or the coordinator writes another journal altogether.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "base/host_port.h"
#include "proto/report_digest.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/attempt_facts_internal.h"

namespace wattle::agent {
namespace {

constexpr int kEndedMax = 64;
constexpr int kMovedToMax = 4;
// The time to the next try after the disk refused the new numbering.
constexpr absl::Duration kGreetAgain = absl::Seconds(5);

}  // namespace

AgentCore::JournalChange AgentCore::CompareJournal(const v1::Welcome& welcome) const {
  if (welcome.lineage_id().empty()) {
    return JournalChange::kNone;  // A coordinator of version 0.1 sends no journal id.
  }
  if (lineage_.lineage_id().empty()) {
    return JournalChange::kFirst;
  }
  if (welcome.lineage_id() != lineage_.lineage_id()) {
    return JournalChange::kOther;
  }
  if (welcome.opening_id() == lineage_.opening_id()) {
    // If someone put back a copy of the journal's files by hand, the opening id stays the same, but
    // the coordinator forgets reports that it had acknowledged.
    const int64_t dropped = spool_.last_sequence() - static_cast<int64_t>(spool_.pending().size());
    return welcome.acknowledged_sequence() < dropped ? JournalChange::kRestored
                                                     : JournalChange::kNone;
  }
  return welcome.epoch() < lineage_.epoch() ? JournalChange::kOutdated : JournalChange::kRestored;
}

bool AgentCore::IsAnotherBoards(const v1::Welcome& welcome) const {
  for (const v1::Report& report : spool_.pending()) {
    if (report.sequence() == welcome.acknowledged_sequence()) {
      return welcome.acknowledged_digest() != 0 &&
             welcome.acknowledged_digest() != ReportDigest(report);
    }
  }
  return false;
}

bool AgentCore::EnterJournal(const v1::Welcome& welcome, const Instant& now) {
  const JournalChange change = CompareJournal(welcome);
  switch (change) {
    case JournalChange::kNone:
      break;
    case JournalChange::kFirst:
      RememberJournal(welcome);
      break;
    case JournalChange::kOutdated:
      ports_.Note(absl::StrCat("the coordinator stands at epoch ", welcome.epoch(),
                               " of its journal, and a restored copy of it at ", lineage_.epoch(),
                               ": this worker reports nothing to the older one; stop it"));
      if (FollowsOwnJournalAlone()) {
        TurnAway();
      }
      return false;
    case JournalChange::kOther:
      if (FollowsOwnJournalAlone() && !WATTLE_FAULT_POINT("stranger")) {
        ports_.Note(absl::StrCat(
            "coordinator ", coordinator_,
            ": writes another journal than this worker's, which stays with its own; to follow the "
            "other one, start the worker with --coordinator ",
            coordinator_, " alone and without the file lineage.pb of its state folder"));
        TurnAway();
        return false;
      }
      [[fallthrough]];
    case JournalChange::kRestored:
      BeginAnew(welcome, change == JournalChange::kRestored, now);
      return false;
  }
  if (welcome.acknowledged_sequence() > spool_.last_sequence()) {
    RenumberReports(absl::StrCat("the coordinator has report ", welcome.acknowledged_sequence(),
                                 " of this device, its spool ends at ", spool_.last_sequence(),
                                 ": the SD card lost reports that it had confirmed"),
                    now);
    return false;
  }
  if (IsAnotherBoards(welcome)) {
    ports_.Note(absl::StrCat("report ", welcome.acknowledged_sequence(),
                             " came to the coordinator from another board that uses this one's "
                             "identity, most likely from a copied SD card: delete the state "
                             "directory of the copy"));
    return false;
  }
  return true;
}

void AgentCore::BeginAnew(const v1::Welcome& welcome, bool restored, const Instant& now) {
  if (!restored) {
    // Reports for the old journal have no meaning in the new one.
    unsaved_.clear();
    (void)spool_.Acknowledge(spool_.last_sequence());
  }
  // Begin the new numbering first. If the process dies before it remembers the journal, all of this
  // happens again, and the coordinator drops the repeated reports.
  if (const absl::Status begun = spool_.BeginIncarnation(); !begun.ok()) {
    greet_again_ = now.wall + kGreetAgain;
    NoteDisk(begun, now);
    return;
  }
  if (restored) {
    ports_.Note(absl::StrCat("the coordinator was restored from a backup (epoch ", welcome.epoch(),
                             "): this device reports again what it holds and ended"));
    TellAgain(now);
  } else {
    ports_.Note(
        "the coordinator writes another journal: what this device held for the old one is "
        "dropped");
    DropEverything(now);
  }
  ReportLedger(now);
  RememberJournal(welcome);
  SendHello(now);
}

void AgentCore::TellAgain(const Instant& now) {
  for (const v1::Report& ended : ended_.reports()) {
    if (WaitsForUpload(EndOf(ended).first)) {
      continue;  // reported together with its result
    }
    const bool pending = std::any_of(
        spool_.pending().begin(), spool_.pending().end(), [&](const v1::Report& report) {
          return EndOf(report) == EndOf(ended) && EndOf(report).second != 0;
        });
    // While an attempt runs, the result cannot be sent first: the end is reported now, in case the
    // store has the result, and once more with the result.
    if (!(WillReturn(ended) && run_ == nullptr) && !pending) {
      v1::Report again = ended;
      unsaved_.push_back(std::move(again));
    }
  }
  if (!ended_.results_to_return().empty()) {
    SaveEnded();
  }
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_[id];
    v1::Report report;
    switch (record.state()) {
      case v1::ATTEMPT_STATE_FETCHING:
        SetAttempt(record.assignment(), report.mutable_accepted());
        break;
      case v1::ATTEMPT_STATE_RUNNING:
        SetAttempt(record.assignment(), report.mutable_started());
        report.mutable_started()->set_from_step(record.newest_checkpoint_step());
        break;
      case v1::ATTEMPT_STATE_PAUSED:
        SetAttempt(record.assignment(), report.mutable_paused());
        report.mutable_paused()->set_checkpoint_step(record.newest_checkpoint_step());
        report.mutable_paused()->set_reason("paused before the coordinator was restored");
        break;
      default:
        continue;  // the loop above reported its end
    }
    Report(std::move(report), now);
  }
  FlushReports(now);
}

void AgentCore::DropEverything(const Instant& now) {
  desired_.clear_assignments();
  desired_.clear_releases();
  desired_.clear_keep_checkpoint_job_ids();
  ended_.Clear();
  HoldResults();
  SaveEnded();
  forget_runs_ = run_ != nullptr;
  if (run_ != nullptr) {
    run_->Stop(StopReason::kUnwanted, now);
  }
  const std::vector<std::string> ids = order_;
  for (const std::string& id : ids) {
    if (run_ == nullptr || run_->record().assignment().attempt_id() != id) {
      Forget(id);
    }
  }
  if (run_ == nullptr) {
    state_.RemoveAllWork();  // The new journal will use the same ids for other work.
  }
}

bool AgentCore::FollowsOwnJournalAlone() const {
  return settings_.several_coordinators || lineage_.moved_to_size() > 0 ||
         !told_coordinator_.empty();
}

void AgentCore::TurnAway() {
  refused_coordinators_.insert(coordinator_);
  told_coordinator_.clear();
  ports_.TryNextCoordinator();
}

void AgentCore::FollowCoordinator(const std::string& address) {
  // An address that proved to be another coordinator's is not tried again before the next welcome.
  // Otherwise worker and coordinator would send each other in a circle.
  if (address.empty() || address == coordinator_ || refused_coordinators_.count(address) > 0) {
    return;
  }
  if (const absl::Status valid = ParseHostPort("moved_to", address).status(); !valid.ok()) {
    ports_.Note(absl::StrCat("coordinator ", coordinator_, ": ", valid.message()));
    return;
  }
  ports_.Note(absl::StrCat("coordinator ", coordinator_, ": has moved to ", address));
  told_coordinator_ = address;
  settings_.several_coordinators = true;  // the link tries this one in its rounds from now on
  ports_.Follow(address);
}

void AgentCore::RememberAddress() {
  refused_coordinators_.clear();
  if (told_coordinator_.empty()) {
    return;
  }
  if (coordinator_ == told_coordinator_) {
    auto& known = *lineage_.mutable_moved_to();
    known.erase(std::remove(known.begin(), known.end(), coordinator_), known.end());
    known.Add(std::string(coordinator_));
    std::rotate(known.begin(), known.end() - 1, known.end());
    if (known.size() > kMovedToMax) {
      known.RemoveLast();
    }
    SaveLineage();
  }
  told_coordinator_.clear();
}

void AgentCore::SaveLineage() {
  if (const absl::Status saved = state_.WriteLineage(lineage_); !saved.ok()) {
    ports_.Note(std::string(saved.message()));
  }
}

void AgentCore::RememberJournal(const v1::Welcome& welcome) {
  if (lineage_.lineage_id() != welcome.lineage_id()) {
    lineage_.clear_moved_to();
  }
  lineage_.set_lineage_id(welcome.lineage_id());
  lineage_.set_epoch(welcome.epoch());
  lineage_.set_opening_id(welcome.opening_id());
  SaveLineage();
}

std::pair<std::string, int64_t> AgentCore::EndOf(const v1::Report& report) {
  switch (report.fact_case()) {
    case v1::Report::kFinished:
      return {report.finished().attempt_id(), report.finished().fencing_token()};
    case v1::Report::kFailed:
      return {report.failed().attempt_id(), report.failed().fencing_token()};
    case v1::Report::kStopped:
      return {report.stopped().attempt_id(), report.stopped().fencing_token()};
    default:
      return {"", 0};
  }
}

void AgentCore::AddEnd(const v1::Report& report) {
  *ended_.add_reports() = report;
  ended_.mutable_reports()->rbegin()->set_at_unix_seconds(
      absl::ToDoubleSeconds(civil_ - absl::UnixEpoch()));
  for (auto ended = ended_.mutable_reports()->begin();
       ended_.reports_size() > kEndedMax && ended != ended_.mutable_reports()->end();) {
    ended =
        WaitsForUpload(EndOf(*ended).first) ? ended + 1 : ended_.mutable_reports()->erase(ended);
  }
}

void AgentCore::RememberEnd(const v1::Report& report) {
  AddEnd(report);
  v1::Report& ended = *ended_.mutable_reports()->rbegin();
  // The coordinator already has the curve, which serves only charts.
  if (ended.has_finished()) {
    ended.mutable_finished()->mutable_receipt()->clear_curve();
  } else if (ended.has_failed()) {
    ended.mutable_failed()->mutable_receipt()->clear_curve();
  } else if (ended.has_stopped()) {
    ended.mutable_stopped()->mutable_receipt()->clear_curve();
  }
  SaveEnded();
}

void AgentCore::SaveEnded() {
  const absl::Status saved = state_.WriteEnded(ended_);
  if (!saved.ok() && !ended_unsaved_) {
    ports_.Note(std::string(saved.message()));
  }
  ended_unsaved_ = !saved.ok();
}

bool AgentCore::HasEnded(const v1::Assignment& assignment) const {
  return std::any_of(
      ended_.reports().begin(), ended_.reports().end(), [&](const v1::Report& report) {
        return EndOf(report) == std::pair(assignment.attempt_id(), assignment.fencing_token());
      });
}

}  // namespace wattle::agent
