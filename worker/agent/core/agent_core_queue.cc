// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The queue of attempts behind the running one: which begins next, the prefetch of its inputs while
// another attempt works, and results that wait for the link while the next attempt runs.
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

// How long a result is uploaded before the next attempt begins beside the upload.
constexpr absl::Duration kUploadAlone = absl::Minutes(1);
constexpr absl::Duration kPrefetchRetryMax = absl::Minutes(10);

}  // namespace

bool AgentCore::MayWork() const {
  return !shutting_down_ && guard_.reason().empty() && !owner_hold_.active() &&
         storage_.problem().empty() && memory_pressure_.problem().empty() && !upgrader_.on_trial();
}

bool AgentCore::MayServePeers() const {
  return MayWork() && !limits_.link_bytes_per_day;
}

bool AgentCore::CouldBegin(const std::string& attempt_id, const Instant& now) const {
  const v1::HeldAttemptRecord& record = held_.at(attempt_id);
  const double lease_seconds = record.assignment().lease_seconds();
  const bool lease_left =
      welcomed_ || lease_seconds <= 0 || LeaseUsed(now.wall) < absl::Seconds(lease_seconds);
  return !IsTerminal(record.state()) && !Runs(attempt_id) && lease_left &&
         ReleaseOf(attempt_id) == nullptr;
}

// Without contact an attempt whose inputs are on the device goes before one that would wait for
// inputs.
std::string AgentCore::NextToStart(const Instant& now) const {
  std::string first;
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    const bool forgotten = !welcomed_ && !record.assignment().after_attempt_id().empty() &&
                           WATTLE_FAULT_POINT("queue of one");
    if (!CouldBegin(id, now) || forgotten) {
      continue;
    }
    // With contact the coordinator's order holds, and missing inputs can be fetched.
    if (welcomed_ || HasInputs(record)) {
      return id;
    }
    // Without any complete inputs the first attempt begins and waits for the link.
    first = first.empty() ? id : first;
  }
  return first;
}

bool AgentCore::IdlesOverWork(const Instant& now) const {
  return run_ == nullptr && MayWork() &&
         std::any_of(order_.begin(), order_.end(),
                     [&](const std::string& id) { return CouldBegin(id, now); });
}

bool AgentCore::Runs(const std::string& attempt_id) const {
  return run_ != nullptr && run_->record().assignment().attempt_id() == attempt_id;
}

bool AgentCore::LineIsFree() const {
  return handing_over_.empty() && returning_.empty() && prefetching_.empty() &&
         !upgrader_.fetching() && (run_ == nullptr || !run_->uses_line());
}

bool AgentCore::ClaimLine() {
  if (handing_over_.empty() && returning_.empty() && prefetching_.empty() &&
      !upgrader_.fetching()) {
    return true;
  }
  if (!std::exchange(transfer_ended_, true)) {
    ports_.CancelTransfer();
  }
  return false;
}

void AgentCore::TellLineIsFree(const Instant& now) {
  transfer_ended_ = false;
  if (run_ != nullptr) {
    run_->OnLineFree(now);
  }
}

// The inputs are fetched in the order of the attempts: if the disk has no room for the next one's,
// those of a later one must not take it.
void AgentCore::PrefetchNext(const Instant& now) {
  if (run_ == nullptr || !welcomed_ || now.wall < next_prefetch_ || !MayWork() || !LineIsFree() ||
      !LinkClosed(now).empty()) {
    return;
  }
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    if (IsTerminal(record.state()) || Runs(id) || record.started() || ReleaseOf(id) != nullptr ||
        prefetched_.count(id) > 0 || HasInputs(record)) {
      continue;
    }
    prefetching_ = id;
    return ports_.StartFetch(record.assignment());
  }
}

// Inputs that cannot be fetched now are fetched when the attempt begins, which then also reports
// the error.
void AgentCore::OnPrefetched(const FetchResult& result, const Instant& now) {
  const std::string id = std::exchange(prefetching_, "");
  const auto held = held_.find(id);
  if (held != held_.end()) {
    CountFetched(result, *held->second.mutable_receipt());
  }
  if (result.status.ok()) {
    prefetch_backoff_.Reset();
    prefetched_.insert(id);
    return;
  }
  if (!absl::IsCancelled(result.status)) {
    ports_.Note(absl::StrCat(id, ": its inputs cannot be fetched yet: ", result.status.message()));
  }
  next_prefetch_ = now.wall + prefetch_backoff_.AfterFailure(kPrefetchRetryMax);
}

// The result of a run whose upload is stuck or slow gives way to the next attempt. Without contact
// it does so even if nothing else waits: a reboot must not repeat the work.
void AgentCore::MakeWay(const Instant& now) {
  if (run_ == nullptr || run_->end() || run_->stopping() || !run_->has_result() ||
      !storage_.problem().empty()) {
    return;
  }
  const bool another = MayWork() && !NextToStart(now).empty();
  if (run_->waits_to_upload() && (another || !welcomed_)) {
    run_->FinishWithoutUpload(now);
  } else if (another && !gave_way_ && run_->uploads_since(now.wall - kUploadAlone)) {
    gave_way_ = true;
    run_->EndUploadTry();
  }
}

// The files are moved out of the attempt before its end is on the disk: a cut between the two
// repeats the last steps, and never loses a result that is reported as finished.
void AgentCore::KeepForUpload(v1::HeldAttemptRecord record, const v1::ArtifactInfo& output,
                              const Instant& now) {
  const std::string id = record.assignment().attempt_id();
  v1::Report report;
  SetAttempt(record.assignment(), report.mutable_finished());
  *report.mutable_finished()->mutable_receipt() = record.receipt();
  *report.mutable_finished()->mutable_output() = output;
  NoteDisk(state_.KeepResult(id), now);
  CrashPoint("kept for upload");
  AddEnd(report);
  ended_.add_results_to_return(id);
  HoldResults();
  SaveEnded();
  record.set_state(v1::ATTEMPT_STATE_FINISHED);
  held_[id] = record;
  SaveAttempt(record, now);
  CountEnd(record.state());
}

bool AgentCore::WaitsForUpload(const std::string& attempt_id) const {
  const auto& waiting = ended_.results_to_return();
  const v1::Report* const ended = EndRemembered(attempt_id);
  return std::find(waiting.begin(), waiting.end(), attempt_id) != waiting.end() &&
         ended != nullptr && ended->has_finished() &&
         ended->finished().output().artifact_id().empty();
}

void AgentCore::HoldResults() {
  std::set<std::string> ids;
  for (const std::string& id : ended_.results_to_return()) {
    if (WaitsForUpload(id)) {
      ids.insert(id);
    }
  }
  state_.HoldResults(std::move(ids));
}

// A power cut may have come before the records of these attempts were written.
void AgentCore::ResumeWaitingResults() {
  HoldResults();
  for (const std::string& id : ended_.results_to_return()) {
    const auto held = held_.find(id);
    if (held != held_.end() && !IsTerminal(held->second.state()) && WaitsForUpload(id) &&
        HasEnded(held->second.assignment())) {
      held->second.set_state(v1::ATTEMPT_STATE_FINISHED);
    }
  }
}

// The result is no longer desired: the end is reported without it.
bool AgentCore::IsUnwanted(const v1::Report& ended) const {
  const std::string& id = ended.finished().attempt_id();
  return !JobIsOpen(id.substr(0, id.find('.'))) &&
         std::none_of(
             desired_.assignments().begin(), desired_.assignments().end(),
             [&](const v1::Assignment& assignment) { return assignment.attempt_id() == id; });
}

v1::Report AgentCore::EndWithResult(const v1::Report& ended, const UploadResult& result) {
  v1::Report report = ended;
  v1::AttemptFinished& finished = *report.mutable_finished();
  if (result.status.ok()) {
    *finished.mutable_output() = result.artifact;
    finished.mutable_receipt()->set_output_artifact_id(result.artifact.artifact_id());
    finished.mutable_receipt()->set_uploaded_bytes(finished.receipt().uploaded_bytes() +
                                                   result.moved_bytes);
    return report;
  }
  const v1::AttemptFinished lost = finished;
  v1::AttemptFailed& failed = *report.mutable_failed();
  failed.set_attempt_id(lost.attempt_id());
  failed.set_fencing_token(lost.fencing_token());
  failed.set_failure_class(absl::IsInvalidArgument(result.status) ? v1::FAILURE_CLASS_DATA
                                                                  : v1::FAILURE_CLASS_DEVICE);
  failed.set_message(absl::StrCat("upload: ", result.status.message()));
  *failed.mutable_receipt() = lost.receipt();
  return report;
}

void AgentCore::AddWaiting(v1::Heartbeat& heartbeat) const {
  const auto add = [&](const std::string& id, const char* phase, std::string why) {
    v1::AttemptProgress& progress = *heartbeat.add_progress();
    progress.set_attempt_id(id);
    progress.set_phase(phase);
    progress.set_waiting_reason(std::move(why));
    return &progress;
  };
  for (const std::string& id : ended_.results_to_return()) {
    if (WaitsForUpload(id)) {
      add(id, "upload",
          absl::StrCat("finished; its result waits on ", settings_.info.name(), " for the link"))
          ->set_energy_joules(
              EndRemembered(id)->finished().receipt().total().gross_energy_joules());
    }
  }
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    const std::string& before = record.assignment().after_attempt_id();
    if (Runs(id) || IsTerminal(record.state())) {
      continue;
    }
    const double joules = record.receipt().total().gross_energy_joules();
    if (run_ != nullptr && !record.started() && !before.empty()) {
      add(id, "queued",
          absl::StrCat(
              "waits behind ", run_->record().assignment().attempt_id(),
              prefetched_.count(id) > 0 || HasInputs(record) ? "; its inputs are here" : ""))
          ->set_energy_joules(joules);
    } else if (joules > 0) {
      // The job has drawn these joules, and its energy budget counts them. The words are the same
      // each time, because a heartbeat sends only changes.
      add(id, "paused", absl::StrCat("paused on ", settings_.info.name()))
          ->set_energy_joules(joules);
    }
  }
}

}  // namespace wattle::agent
