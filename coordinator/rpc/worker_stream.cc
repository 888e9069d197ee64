// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/worker_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/runtime/unknown_fields.h"
#include "coordinator/shell/shell.h"

namespace wattle::rpc {

WorkerStream* WorkerStream::Open(runtime::Runtime& runtime, StreamTable& streams,
                                 absl::Duration heartbeat_interval) {
  const std::shared_ptr<WorkerStream> stream(
      new WorkerStream(runtime, streams, heartbeat_interval));
  stream->self_ = stream;
  stream->StartRead(&stream->incoming_);
  return stream.get();
}

void WorkerStream::OnReadDone(bool ok) {
  if (!ok) {
    FinishWith(absl::OkStatus());  // The worker closed its side, or the link broke.
    return;
  }
  const absl::Status status = Handle();
  if (!status.ok()) {
    FinishWith(status);
  }
}

// Handles incoming_ and goes on reading, unless that waits for an answer.
absl::Status WorkerStream::Handle() {
  if (slot_ == nullptr) {
    return HandleHello();  // Goes on reading in Welcome.
  }
  switch (incoming_.message_case()) {
    case v1::WorkerMessage::kHeartbeat:
      runtime_.board().CountHeartbeat();
      slot_->Take(*incoming_.mutable_heartbeat(), runtime_.Now());
      break;
    case v1::WorkerMessage::kReport:
      WATTLE_RETURN_IF_ERROR(HandleReport());
      break;
    case v1::WorkerMessage::kLog:
      HandleLog(incoming_.log());
      break;
    case v1::WorkerMessage::kHello:
      return absl::FailedPreconditionError("second hello on one stream; open a new stream");
    case v1::WorkerMessage::MESSAGE_NOT_SET:
      return absl::UnimplementedError(
          "WorkerMessage: a kind that is not supported in this version; update the coordinator");
  }
  StartRead(&incoming_);
  return absl::OkStatus();
}

absl::Status WorkerStream::HandleHello() {
  if (!incoming_.has_hello()) {
    return absl::FailedPreconditionError("the first message of a stream must be a hello");
  }
  WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(incoming_.hello()));
  WATTLE_RETURN_IF_ERROR(core::ValidateHello(incoming_.hello()));
  device_ = DeviceId(incoming_.hello().device().device_id());
  incarnation_ = incoming_.hello().incarnation();
  return runtime_.Post(
      core::WorkerHello{incoming_.hello()},
      [self = shared_from_this()](const runtime::Answer& answer) { self->Welcome(answer); });
}

// The hello is durable. Its desired set follows as an effect, so the stream is installed first.
void WorkerStream::Welcome(const runtime::Answer& answer) {
  if (!answer.status.ok()) {
    FinishWith(answer.status);
    return;
  }
  v1::Welcome welcome = runtime_.Read([this](const core::State& state) {
    return shell::WelcomeFor(state, device_, incarnation_,
                             {.now = runtime_.Now(), .heartbeat_interval = heartbeat_interval_});
  });
  {
    absl::MutexLock lock(&mutex_);
    if (finishing_ || finished_) {
      return;
    }
    outbox_.welcome = std::move(welcome);
    WriteNextLocked();
  }
  streams_.Install(device_, shared_from_this());
  absl::MutexLock lock(&mutex_);
  if (finishing_ || finished_) {
    streams_.Remove(device_, this);  // It ended meanwhile; OnDone may have come before Install.
    return;
  }
  slot_ = runtime_.board().SlotFor(device_);
  slot_->SetConnected(true, runtime_.Now());
  spdlog::info("device {} connected", device_.value());
  StartRead(&incoming_);
}

absl::Status WorkerStream::HandleReport() {
  core::WorkerReport command;
  command.device = device_;
  command.incarnation = incarnation_;
  command.report = std::move(*incoming_.mutable_report());
  // Full queue: the stream ends, the worker comes back and sends again what was not acknowledged.
  return runtime_.Post(std::move(command),
                       [self = shared_from_this()](const runtime::Answer& answer) {
                         if (!answer.status.ok()) {
                           self->FinishWith(answer.status);
                         }
                       });
}

void WorkerStream::HandleLog(const v1::AttemptLog& log) {
  const AttemptId attempt(log.attempt_id());
  const std::optional<JobId> job =
      runtime_.Read([&](const core::State& state) -> std::optional<JobId> {
        const v1::Attempt* found = core::FindAttempt(state, attempt);
        if (found == nullptr || found->device_id() != device_.value()) {
          return std::nullopt;  // Not this device's to write in.
        }
        return JobId(found->job_id());
      });
  if (job.has_value()) {
    runtime_.logs().Add(log);
    runtime_.watchers().Notify(*job);
  }
}

void WorkerStream::SendDesired(v1::DesiredSet desired) {
  absl::MutexLock lock(&mutex_);
  outbox_.desired = std::move(desired);
  WriteNextLocked();
}

void WorkerStream::SendAcknowledgement(v1::ReportAcknowledgement ack) {
  absl::MutexLock lock(&mutex_);
  outbox_.acknowledgement = std::move(ack);
  WriteNextLocked();
}

void WorkerStream::Close(const std::string& reason) {
  absl::MutexLock lock(&mutex_);
  if (finishing_ || finished_) {
    return;
  }
  outbox_.closing.emplace().set_reason(reason);
  WriteNextLocked();
}

void WorkerStream::WriteNextLocked() {
  if (writing_ || finished_) {
    return;
  }
  if (finishing_) {
    FinishLocked();
    return;
  }
  outgoing_.Clear();
  if (outbox_.welcome.has_value()) {
    outgoing_.mutable_welcome()->Swap(&*outbox_.welcome);
    outbox_.welcome.reset();
  } else if (outbox_.closing.has_value()) {
    final_status_ = absl::AbortedError(outbox_.closing->reason());
    outgoing_.mutable_closing()->Swap(&*outbox_.closing);
    outbox_.closing.reset();
    finishing_ = true;
  } else if (outbox_.acknowledgement.has_value()) {
    outgoing_.mutable_acknowledgement()->Swap(&*outbox_.acknowledgement);
    outbox_.acknowledgement.reset();
  } else if (outbox_.desired.has_value()) {
    outgoing_.mutable_desired()->Swap(&*outbox_.desired);
    outbox_.desired.reset();
  } else {
    return;
  }
  writing_ = true;
  StartWrite(&outgoing_);
}

void WorkerStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok && !finishing_) {
    finishing_ = true;
  }
  WriteNextLocked();
}

void WorkerStream::OnCancel() {
  FinishWith(absl::CancelledError("stream cancelled"));
}

void WorkerStream::FinishWith(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (finishing_ || finished_) {
    return;
  }
  if (!status.ok() && !absl::IsCancelled(status)) {
    spdlog::warn("stream of device {}: {}", device_.value(), std::string(status.message()));
  }
  finishing_ = true;
  final_status_ = status;
  WriteNextLocked();
}

void WorkerStream::FinishLocked() {
  finished_ = true;
  Finish(ToGrpc(final_status_));
}

void WorkerStream::OnDone() {
  // A newer stream of the device may have taken over: then the device is still connected.
  if (streams_.Remove(device_, this) && slot_ != nullptr) {
    slot_->SetConnected(false, runtime_.Now());
    spdlog::info("device {} disconnected", device_.value());
  }
  self_.reset();
}

}  // namespace wattle::rpc
