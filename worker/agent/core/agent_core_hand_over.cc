// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Hand-over: an attempt that the coordinator releases leaves this device. The worker uploads its
// newest checkpoint and then reports the stop, and the job goes on elsewhere.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/attempt_facts_internal.h"

namespace wattle::agent {
namespace {

// After this many failed uploads in a row without progress, the job continues from an older
// checkpoint, or from the beginning.
constexpr int kTriesMax = 6;
constexpr absl::Duration kUploadRetryMax = absl::Minutes(5);

}  // namespace

const v1::ReleaseAttempt* AgentCore::ReleaseOf(const std::string& attempt_id) const {
  const auto held = held_.find(attempt_id);
  for (const v1::ReleaseAttempt& release : desired_.releases()) {
    if (release.attempt_id() == attempt_id && held != held_.end() &&
        held->second.assignment().fencing_token() == release.fencing_token()) {
      return &release;
    }
  }
  return nullptr;
}

bool AgentCore::JobIsOpen(const std::string& job_id) const {
  return std::find(desired_.keep_checkpoint_job_ids().begin(),
                   desired_.keep_checkpoint_job_ids().end(),
                   job_id) != desired_.keep_checkpoint_job_ids().end();
}

// An upload is work, so it waits while the guard holds work. The coordinator waits for a checkpoint
// until no further bytes have arrived for an hour (kReleasePatience in
// coordinator/core/passing_time.cc).
bool AgentCore::MayUpload(const Instant& now) const {
  return LineIsFree() && !shutting_down_ && guard_.reason().empty() && welcomed_ &&
         LinkClosed(now).empty();
}

const v1::HeldAttemptRecord* AgentCore::NextToHandOver() const {
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    if (ReleaseOf(id) != nullptr && !IsTerminal(record.state()) && !Runs(id)) {
      return &record;
    }
  }
  return nullptr;
}

// An attempt that has not begun has no checkpoint to hand over.
void AgentCore::ReportNotBegun(const Instant& now) {
  const std::vector<std::string> ids = order_;
  for (const std::string& id : ids) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    if (welcomed_ && ReleaseOf(id) != nullptr && !IsTerminal(record.state()) && !Runs(id) &&
        !record.started() && record.newest_checkpoint_step() == 0 && handing_over_ != id) {
      ReportHandOver(id, nullptr, now);
    }
  }
}

void AgentCore::HandOverNext(const Instant& now) {
  ReportNotBegun(now);
  if (now.wall < next_hand_over_ || !MayUpload(now)) {
    return;
  }
  const v1::HeldAttemptRecord* next = NextToHandOver();
  if (next == nullptr) {
    return;
  }
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): the record may be removed on the
  // way
  const std::string id = next->assignment().attempt_id();
  const int64_t step = next->newest_checkpoint_step();
  if (step == 0 || hand_over_backoff_.failures() >= kTriesMax) {
    return ReportHandOver(id, nullptr, now);
  }
  handing_over_ = id;
  handed_before_bytes_ = handed_over_.handed_bytes;
  v1::ArtifactInfo info;
  info.set_kind(v1::ARTIFACT_KIND_CHECKPOINT);
  info.set_job_id(next->assignment().job_id());
  ports_.StartUpload(CheckpointDirectory(state_.WorkDirectory(id), step), info);
}

void AgentCore::OnUploadProgress(const UploadProgress& progress) {
  if (!handing_over_.empty() && progress.handed_bytes > handed_over_.handed_bytes) {
    handed_over_ = progress;
  }
}

void AgentCore::OnCheckpointUploaded(const UploadResult& result, const Instant& now) {
  const std::string id = std::exchange(handing_over_, "");
  if (held_.count(id) == 0) {
    handed_over_ = {};
    return;  // the coordinator no longer desires the attempt
  }
  if (!result.status.ok()) {
    ports_.Note(
        absl::StrCat(id, ": its checkpoint cannot be uploaded yet: ", result.status.message()));
    if (handed_over_.handed_bytes > handed_before_bytes_) {
      hand_over_backoff_.Reset();
    }
    next_hand_over_ = now.wall + hand_over_backoff_.AfterFailure(kUploadRetryMax);
    return;
  }
  ReportHandOver(id, &result.artifact, now);
}

void AgentCore::ReportHandOver(const std::string& attempt_id, const v1::ArtifactInfo* checkpoint,
                               const Instant& now) {
  const v1::HeldAttemptRecord& record = held_.at(attempt_id);
  v1::Report report;
  v1::AttemptStopped& stopped = *report.mutable_stopped();
  stopped.set_attempt_id(attempt_id);
  stopped.set_fencing_token(record.assignment().fencing_token());
  SetReceipt(record, &stopped);
  stopped.set_checkpoint_step(record.newest_checkpoint_step());
  if (checkpoint != nullptr) {
    *stopped.mutable_checkpoint() = *checkpoint;
  }
  hand_over_backoff_.Reset();
  handed_over_ = {};
  RememberEnd(report);
  Report(std::move(report), now);
  LetGo(attempt_id);
}

void AgentCore::LetGo(const std::string& attempt_id) {
  if (unsaved_.empty()) {
    return Forget(attempt_id);
  }
  v1::HeldAttemptRecord& record = held_.at(attempt_id);
  if (!IsTerminal(record.state())) {
    record.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
  }
  reconciled_ = false;  // so that DropUnwanted checks it again
}

void AgentCore::Forget(const std::string& attempt_id) {
  prefetched_.erase(attempt_id);
  if (prefetching_ == attempt_id && !std::exchange(transfer_ended_, true)) {
    ports_.CancelTransfer();
  }
  state_.RemoveAttempt(attempt_id);
  held_.erase(attempt_id);
  order_.erase(std::remove(order_.begin(), order_.end(), attempt_id), order_.end());
}

}  // namespace wattle::agent
