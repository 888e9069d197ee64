// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The transfers of an attempt, both with retries: the fetch of its inputs and the upload of its
// result.
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "worker/agent/core/attempt_facts_internal.h"
#include "worker/agent/core/attempt_run.h"
#include "worker/agent/core/attempt_texts.h"

namespace wattle::agent {
namespace {

// If a chunk arrives damaged this often, it is damaged at its source.
constexpr int kDamagedTransfersMax = 3;
constexpr absl::Duration kBackoffMax = absl::Seconds(30);
// A full disk at the coordinator lasts until a person makes room.
constexpr absl::Duration kUploadBackoffMax = absl::Minutes(5);
// The time to the next check of a closed link, and of a link that another transfer uses.
constexpr absl::Duration kLinkLook = absl::Minutes(1);
constexpr absl::Duration kLineLook = absl::Seconds(1);
// How long a fetch pauses for probes of the disk: three probes fit into it.
constexpr absl::Duration kDiskLook = absl::Seconds(30);

// The class of a transfer's failure; nullopt if the transfer is tried again.
std::optional<v1::FailureClass> TransferFailure(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kDataLoss:  // damaged on the way; see kDamagedTransfersMax
    case absl::StatusCode::kCancelled:
      return std::nullopt;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kInvalidArgument:
      return v1::FAILURE_CLASS_DATA;
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kInternal:  // this disk's; the coordinator's come as kUnknown
      return v1::FAILURE_CLASS_DEVICE;
    default:
      return v1::FAILURE_CLASS_LINK;
  }
}

}  // namespace

bool AttemptRun::WaitForLink(const Instant& now) {
  const std::string closed = has_inputs_ && stage_ == Stage::kFetching ? "" : link_closed_(now);
  waits_for_line_ = closed.empty() && !claim_line_();
  if (waits_for_line_) {
    retry_ = now.wall + kLineLook;
    return true;
  }
  if (closed.empty()) {
    if (std::exchange(waits_for_link_, false)) {
      progress_.clear_waiting_reason();
    }
    return false;
  }
  waits_for_link_ = true;
  progress_.set_waiting_reason(absl::StrCat(progress_.phase(), ": ", closed));
  retry_ = now.wall + kLinkLook;
  SetActivity(now.device, Activity::kPaused);
  return true;
}

void AttemptRun::OnLineFree(const Instant& now) {
  if (waits_for_line_ && retry_) {
    retry_ = now.wall;
  }
}

void AttemptRun::CheckLink(const Instant& now) {
  const bool over_link =
      stage_ == Stage::kUploading || (stage_ == Stage::kFetching && !has_inputs_);
  if (transfers_ && over_link && !link_closed_(now).empty()) {
    transfers_ = false;
    ports_.CancelTransfer();
  }
}

bool AttemptRun::writes_much() const {
  return (stage_ == Stage::kFetching && transfers_) || (stage_ == Stage::kRunning && writes_phase_);
}

void AttemptRun::EndFetchTry(const Instant& now) {
  if (stage_ == Stage::kFetching && std::exchange(transfers_, false)) {
    fetch_held_until_ = now.wall + kDiskLook;
    ports_.CancelTransfer();
  }
}

void AttemptRun::BeginFetch(const Instant& now) {
  if (WaitForLink(now)) {
    return;
  }
  SetActivity(now.device, Activity::kFetch);
  transfers_ = true;
  ports_.StartFetch(record_.assignment());
}

void AttemptRun::OnFetched(const FetchResult& result, const Instant& now) {
  if (stage_ != Stage::kFetching) {
    return;
  }
  transfers_ = false;
  CountFetched(result, *record_.mutable_receipt());
  if (stop_) {
    return End({.kind = AttemptEnd::Kind::kStopped, .stop = *stop_});
  }
  if (!result.status.ok()) {
    // The disk is full: delete checkpoints of attempts that are no longer held, one at a time, and
    // fetch again.
    if (absl::IsResourceExhausted(result.status) && state_.FreeLeftWork(1) > 0) {
      return BeginFetch(now);
    }
    if (absl::IsCancelled(result.status) && WaitForLink(now)) {
      return;
    }
    if (absl::IsCancelled(result.status) && now.wall < fetch_held_until_) {
      retry_ = fetch_held_until_;
      progress_.set_waiting_reason(
          "fetch: the disk's writes are slow; it is tried without a fetch");
      return SetActivity(now.device, Activity::kPaused);
    }
    if (const auto failure = FailureOfTransfer(result.status)) {
      return Fail(*failure, absl::StrCat("fetch: ", result.status.message()));
    }
    return RetryTransfer(result.status, now);
  }
  if (!result.note.empty()) {
    ports_.Note(result.note);
  }
  backoff_.Reset();
  progress_.clear_waiting_reason();
  inputs_ = result.inputs;
  Log(FetchedLine(record_.assignment(), result), now);
  stage_ = Stage::kFetched;
  ready_ = pace_.TransferEnd(result.moved_bytes, now.device);
  Step(now);
}

// Like TransferFailure, but counts damaged transfers in a row.
std::optional<v1::FailureClass> AttemptRun::FailureOfTransfer(const absl::Status& status) {
  damaged_transfers_ = absl::IsDataLoss(status) ? damaged_transfers_ + 1 : 0;
  return damaged_transfers_ >= kDamagedTransfersMax ? v1::FAILURE_CLASS_DATA
                                                    : TransferFailure(status);
}

void AttemptRun::RetryTransfer(const absl::Status& status, const Instant& now) {
  if (status.message() != transfer_problem_) {
    transfer_problem_ = std::string(status.message());
    ports_.Note(absl::StrCat(progress_.attempt_id(), ": ", progress_.phase(), ": ",
                             transfer_problem_, "; trying again"));
  }
  const absl::Duration wait = backoff_.AfterFailure(kBackoffMax);
  progress_.set_waiting_reason(
      absl::StrCat(progress_.phase(), ": ", transfer_problem_, "; again in ",
                   absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1))), " s"));
  retry_ = now.wall + wait;
  SetActivity(now.device, Activity::kPaused);
}

void AttemptRun::BeginUpload(const Instant& now) {
  stage_ = Stage::kUploading;
  upload_begin_ = now.wall;
  retry_.reset();
  progress_.set_phase("upload");
  SetActivity(now.device, Activity::kUpload);
  if (state_.OutputSizeBytes(attempt_id()) == 0) {
    return OnUploaded({}, now);
  }
  if (WaitForLink(now)) {
    return;
  }
  transfers_ = true;
  ports_.StartUpload(state_.OutputDirectory(attempt_id()), ResultInfo());
}

v1::ArtifactInfo AttemptRun::ResultInfo() const {
  v1::ArtifactInfo info;
  info.set_kind(v1::ARTIFACT_KIND_RESULT);
  info.set_job_id(record_.assignment().job_id());
  if (result_->parameter_count() > 0) {
    *info.mutable_model_shape() = result_->model_shape();
    info.set_parameter_count(result_->parameter_count());
    info.set_quantization(result_->quantization());
    *info.mutable_recipe() = result_->recipe();
  }
  return info;
}

void AttemptRun::FinishWithoutUpload(const Instant& now) {
  Log(absl::StrCat("its result waits on ", settings_.info.name(), " for the link"), now);
  account_.AdvanceTo(now.device);
  End({.kind = AttemptEnd::Kind::kFinished, .output = ResultInfo(), .waits_for_upload = true});
}

void AttemptRun::OnUploaded(const UploadResult& result, const Instant& now) {
  if (stage_ != Stage::kUploading) {
    return;
  }
  transfers_ = false;
  const int64_t before_bytes =
      record_.receipt().uploaded_bytes() * (WATTLE_FAULT_POINT("bytes of the last try") ? 2 : 1);
  record_.mutable_receipt()->set_uploaded_bytes(before_bytes + result.moved_bytes);
  if (stop_) {
    return End({.kind = AttemptEnd::Kind::kStopped, .stop = *stop_});
  }
  if (absl::IsCancelled(result.status) && WaitForLink(now)) {
    return;
  }
  if (!result.status.ok()) {
    // If the coordinator cannot take the result now, most likely its disk is full. Neither the job
    // nor this device is at fault, so the result waits on this device.
    if (TransferFailure(result.status) == v1::FAILURE_CLASS_DATA) {
      return Fail(v1::FAILURE_CLASS_DATA, absl::StrCat("upload: ", result.status.message()));
    }
    progress_.set_waiting_reason(absl::StrCat(
        "finished; its result waits on ", settings_.info.name(), ": ", result.status.message()));
    retry_ = now.wall + backoff_.AfterFailure(kUploadBackoffMax);
    SetActivity(now.device, Activity::kPaused);
    return;
  }
  progress_.clear_waiting_reason();
  upload_ = result;
  stage_ = Stage::kUploaded;
  ready_ = pace_.TransferEnd(result.moved_bytes, now.device);
  Step(now);
}

}  // namespace wattle::agent
