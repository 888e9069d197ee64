// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/worker_stream.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/state.h"
#include "coordinator/event_loop/event_loop.h"
#include "coordinator/log/log.h"
#include "proto/heartbeat_changes.h"

namespace wattle::rpc {
namespace {

// A number that no report has: the device never counts as caught up.
constexpr int64_t kNeverCaughtUp = std::numeric_limits<int64_t>::max();

// A stream that was silent for so many heartbeats is taken for cut.
constexpr int kSilentHeartbeats = 3;

// The most commands of one stream in the queue that all boards share (8,192 commands), so that a
// board that sends without end delays only itself.
constexpr int kUnansweredMax = 256;
constexpr size_t kUnansweredBytesMax = size_t{8} << 20;

// Batches of samples whose acknowledgement the worker has not read.
constexpr size_t kMetricsUnreadMax = 1000;

// The labels that the device's token gave stand in place of the worker's own of the same key.
void AddLabelsOfToken(const runtime::Runtime& runtime, v1::DeviceInfo& device) {
  const auto labels = runtime.Read([&](const core::State& state) {
    const v1::IdentityRecord* const identity =
        core::FindIdentity(state, core::kDeviceKind, device.device_id());
    return identity == nullptr ? google::protobuf::RepeatedPtrField<v1::Label>()
                               : identity->labels();
  });
  for (const v1::Label& label : labels) {
    auto& own = *device.mutable_labels();
    own.erase(std::remove_if(own.begin(), own.end(),
                             [&](const v1::Label& one) { return one.key() == label.key(); }),
              own.end());
    *own.Add() = label;
  }
}

bool IsRevoked(const runtime::Runtime& runtime, const DeviceId& device) {
  return runtime.Read([&](const core::State& state) {
    const v1::IdentityRecord* const identity =
        core::FindIdentity(state, core::kDeviceKind, device.value());
    return identity != nullptr && identity->revoked();
  });
}

}  // namespace

WorkerStream* WorkerStream::Open(runtime::Runtime& runtime, StreamTable& streams, const Gate& gate,
                                 absl::Duration heartbeat_interval,
                                 const grpc::CallbackServerContext& context) {
  const std::shared_ptr<WorkerStream> stream(
      new WorkerStream(runtime, streams, gate, heartbeat_interval, context));
  stream->self_ = stream;
  if (stream->counted_.ok()) {
    stream->StartRead(&stream->incoming_);
  } else {
    stream->FinishWith(stream->counted_.status());
  }
  return stream.get();
}

void WorkerStream::OnReadDone(bool ok) {
  if (!ok) {
    FinishWith(absl::OkStatus());  // The worker closed its side, or the link broke.
    return;
  }
  const Monotonic now = runtime_.Now().monotonic;
  last_heard_nanoseconds_ = absl::ToInt64Nanoseconds(now.since_boot());
  {
    absl::MutexLock lock(&rivals_mutex_);
    rivals_.OnMessage(now);
  }
  const absl::Status status = Handle();
  if (!status.ok()) {
    FinishWith(status);
  }
}

// Handles incoming_ and starts the next read, except after a hello, which waits for its answer.
absl::Status WorkerStream::Handle() {
  if (slot_ == nullptr || incoming_.has_hello()) {
    return HandleHello();  // Welcome starts the next read.
  }
  switch (incoming_.message_case()) {
    case v1::WorkerMessage::kHeartbeat:
      heartbeat_ = incoming_.heartbeat();
      HandleHeartbeat();
      break;
    case v1::WorkerMessage::kHeartbeatChanges:
      ApplyChanges(incoming_.heartbeat_changes(), heartbeat_);
      *incoming_.mutable_heartbeat() = heartbeat_;
      HandleHeartbeat();
      break;
    case v1::WorkerMessage::kReport:
      WATTLE_RETURN_IF_ERROR(HandleReport());
      break;
    case v1::WorkerMessage::kLog:
      HandleLog(incoming_.log());
      break;
    case v1::WorkerMessage::kHello:
      break;  // Handled above.
    case v1::WorkerMessage::kMetrics:
      HandleMetrics();
      break;
    case v1::WorkerMessage::MESSAGE_NOT_SET:
      // A newer worker sent a kind that this version does not know. Skipping it loses nothing,
      // because every durable fact comes as a report.
      runtime_.heartbeats().CountUnknownMessage();
      break;
  }
  ReadOn();
  return absl::OkStatus();
}

bool WorkerStream::IsBehindLocked() const {
  return unanswered_ >= kUnansweredMax || unanswered_bytes_ >= kUnansweredBytesMax;
}

void WorkerStream::ReadOn() {
  {
    absl::MutexLock lock(&mutex_);
    if (IsBehindLocked()) {
      read_waits_ = true;
      return;
    }
  }
  StartRead(&incoming_);
}

void WorkerStream::ReportAnswered(size_t size_bytes) {
  absl::MutexLock lock(&mutex_);
  --unanswered_;
  unanswered_bytes_ -= size_bytes;
  if (read_waits_ && !IsBehindLocked() && !finishing_ && !finished_) {
    read_waits_ = false;
    StartRead(&incoming_);
  }
}

// The board takes the message by a swap.
void WorkerStream::HandleHeartbeat() {
  runtime_.heartbeats().CountHeartbeat();
  slot_->Take(*incoming_.mutable_heartbeat(), runtime_.Now());
}

absl::Status WorkerStream::CheckDevice(const v1::DeviceInfo& device) const {
  WATTLE_RETURN_IF_ERROR(caller_.status());
  if (caller_->kind == kAnybody ||
      access::Decide(caller_->identity, kConnect, {.device = device.device_id()}).ok()) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "hello of device ", device.device_id(), " with the certificate of ", caller_->identity.id,
      "; each board enrols for itself: 'wattle-worker enroll TOKEN' there"));
}

absl::Status WorkerStream::HandleHello() {
  if (!incoming_.has_hello()) {
    return absl::FailedPreconditionError("the first message of a stream must be a hello");
  }
  v1::Hello& hello = *incoming_.mutable_hello();
  WATTLE_RETURN_IF_ERROR(core::ValidateHello(hello));
  WATTLE_RETURN_IF_ERROR(CheckDevice(hello.device()));
  if (!moved_to_.empty()) {
    Close(absl::StrCat("the coordinator has moved to ", moved_to_), moved_to_);
    return absl::OkStatus();
  }
  if (slot_ != nullptr && hello.device().device_id() != device_.value()) {
    return absl::FailedPreconditionError("hello of another device on the same stream");
  }
  device_ = DeviceId(hello.device().device_id());
  incarnation_ = hello.incarnation();
  if (slot_ == nullptr) {
    process_id_ = hello.process_id();
  }
  hello.mutable_device()->set_metrics_address(
      ScrapeAddress(peer_host_, hello.device().metrics_address()));
  AddLabelsOfToken(runtime_, *hello.mutable_device());
  {
    // The worker may switch to this journal with this hello, so messages of before the hello are
    // dropped. The welcome and the effects of the hello replace them.
    absl::MutexLock lock(&mutex_);
    greeting_ = true;
    outbox_.desired.reset();
    outbox_.acknowledgement.reset();
  }
  auto [rival, doubled] = streams_.RivalryOf(device_, *this, runtime_.Now().monotonic);
  return runtime_.Post(
      core::WorkerHello{.hello = hello, .rival = std::move(rival), .doubled = doubled},
      [self = shared_from_this()](const runtime::Answer& answer) { self->Welcome(answer); },
      event_caller_);
}

// The hello is durable. The stream is installed first, because the desired set follows as an
// effect.
void WorkerStream::Welcome(const runtime::Answer& answer) {
  if (!answer.status.ok()) {
    FinishWith(answer.status);
    return;
  }
  const v1::Hello& hello = incoming_.hello();
  bool of_this_opening = false;
  v1::Welcome welcome = runtime_.Read([&](const core::State& state) {
    of_this_opening = core::IsOfThisOpening(state, hello);
    return event_loop::WelcomeFor(
        state, device_, incarnation_,
        {.now = runtime_.Now().wall, .heartbeat_interval = heartbeat_interval_});
  });
  // A worker that last worked for another opening of the journal renumbers its reports and sends a
  // second hello.
  last_report_sequence_ = of_this_opening ? hello.last_report_sequence() : kNeverCaughtUp;
  welcome.set_takes_heartbeat_changes(true);
  welcome.set_takes_metrics(runtime_.options().metric_sink != nullptr);
  runtime::Greeting greeting;
  greeting.caught_up = welcome.acknowledged_sequence() >= last_report_sequence_;
  for (const std::string& attempt : hello.results_to_return()) {
    greeting.results_to_come.insert(AttemptId(attempt));
  }
  greeting.takes_queued = hello.protocol_max() >= core::kProtocolWithQueue;
  const bool first = slot_ == nullptr;
  if (first) {
    {
      // Connected goes before Install, which closes an older stream of the device: the end of that
      // stream must not count as the device's absence.
      absl::MutexLock lock(&mutex_);
      if (finishing_ || finished_) {
        return;
      }
      slot_ = runtime_.heartbeats().SlotFor(device_);
      stream_number_ = slot_->Connected(runtime_.Now(), std::move(greeting));
    }
    // Before the welcome goes out: whoever says hello after it is a rival of this stream.
    streams_.Install(device_, shared_from_this());
    // A revocation before the stream was installed did not find it.
    if (caller_->kind != kAnybody && IsRevoked(runtime_, device_)) {
      Close("this device was revoked");
    }
  } else {
    slot_->Greeted(stream_number_, std::move(greeting));
  }
  absl::MutexLock lock(&mutex_);
  if (finishing_ || finished_) {
    streams_.Remove(device_, this);  // The stream has ended; OnDone may have run before Install.
    return;
  }
  outbox_.welcome = std::move(welcome);
  greeting_ = false;
  WriteNextLocked();
  if (first) {
    LogInfo(absl::StrCat("device ", device_.value(), " connected"));
  }
  StartRead(&incoming_);
}

absl::Status WorkerStream::HandleReport() {
  core::WorkerReport command;
  command.device = device_;
  command.incarnation = incarnation_;
  command.report = std::move(*incoming_.mutable_report());
  const v1::ArtifactInfo& output = command.report.finished().output();
  if (runtime_.options().sign_output && !output.artifact_id().empty()) {
    command.output_signature = runtime_.options().sign_output(output.artifact_id());
  }
  const bool last = command.report.sequence() >= last_report_sequence_;
  const size_t size_bytes = command.report.ByteSizeLong();
  AttemptId ended = core::EndedAttempt(command.report);
  {
    absl::MutexLock lock(&mutex_);
    ++unanswered_;
    unanswered_bytes_ += size_bytes;
  }
  // If the queue is full, the stream ends. The worker reconnects and sends again every report that
  // was not acknowledged.
  return runtime_.Post(
      std::move(command),
      [self = shared_from_this(), last, size_bytes,
       ended = std::move(ended)](const runtime::Answer& answer) {
        self->ReportAnswered(size_bytes);
        if (!answer.status.ok()) {
          self->FinishWith(answer.status);
          return;
        }
        self->slot_->EndCame(self->stream_number_, ended);
        if (last) {
          self->slot_->CaughtUp(self->stream_number_);
        }
      },
      event_caller_);
}

void WorkerStream::HandleLog(const v1::AttemptLog& log) {
  const AttemptId attempt(log.attempt_id());
  const std::optional<JobId> job =
      runtime_.Read([&](const core::State& state) -> std::optional<JobId> {
        const v1::Attempt* found = core::FindAttempt(state, attempt);
        if (found == nullptr || found->device_id() != device_.value()) {
          return std::nullopt;  // The attempt belongs to another device.
        }
        return JobId(found->job_id());
      });
  if (job.has_value()) {
    runtime_.logs().Add(log);
    runtime_.watchers().Notify(*job);
  }
}

void WorkerStream::HandleMetrics() {
  runtime::MetricSink* const sink = runtime_.options().metric_sink;
  if (sink == nullptr) {
    return runtime_.heartbeats().CountUnknownMessage();  // The welcome did not ask for metrics.
  }
  const int64_t number = incoming_.metrics().number();
  if (runtime_.Read(
          [&](const core::State& state) { return core::WaitsForApproval(state, device_); })) {
    return SendMetricsAcknowledgement(number);  // Refused for good.
  }
  sink->Take(device_, std::move(*incoming_.mutable_metrics()), [stream = weak_from_this(), number] {
    if (const std::shared_ptr<WorkerStream> self = stream.lock()) {
      self->SendMetricsAcknowledgement(number);
    }
  });
}

void WorkerStream::SendMetricsAcknowledgement(int64_t number) {
  {
    absl::MutexLock lock(&mutex_);
    if (outbox_.metrics.size() < kMetricsUnreadMax) {
      outbox_.metrics.push_back(number);
      WriteNextLocked();
      return;
    }
  }
  FinishWith(absl::ResourceExhaustedError(
      "the worker sends samples and reads no acknowledgement; it may dial again"));
}

bool WorkerStream::YieldsTo(const WorkerStream& newcomer, Monotonic now) const {
  const absl::Duration silence =
      now.since_boot() - absl::Nanoseconds(last_heard_nanoseconds_.load());
  return process_id_.empty() || process_id_ == newcomer.process_id_ ||
         silence > kSilentHeartbeats * std::max(heartbeat_interval_,
                                                absl::Nanoseconds(promised_nanoseconds_.load()));
}

bool WorkerStream::IsDoubledBy(const WorkerStream& newcomer, Monotonic now) {
  absl::MutexLock lock(&rivals_mutex_);
  return rivals_.IsDuplicate(newcomer.process_id_, now);
}

void WorkerStream::SendDesired(v1::DesiredSet desired) {
  absl::MutexLock lock(&mutex_);
  if (greeting_) {
    return;  // The hello's own desired set follows the welcome.
  }
  const absl::Duration promised = core::PromisedInterval(desired, heartbeat_interval_);
  promised_nanoseconds_ = absl::ToInt64Nanoseconds(promised);
  slot_->Promised(stream_number_, promised);
  outbox_.desired = std::move(desired);
  WriteNextLocked();
}

void WorkerStream::SendAcknowledgement(v1::ReportAcknowledgement ack) {
  absl::MutexLock lock(&mutex_);
  if (greeting_) {
    return;  // The welcome carries the acknowledgement.
  }
  outbox_.acknowledgement = std::move(ack);
  WriteNextLocked();
}

void WorkerStream::Close(const std::string& reason, const std::string& moved_to) {
  absl::MutexLock lock(&mutex_);
  if (finishing_ || finished_) {
    return;
  }
  v1::Closing& closing = outbox_.closing.emplace();
  closing.set_reason(reason);
  closing.set_moved_to(moved_to);
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
  } else if (!outbox_.metrics.empty()) {
    outgoing_.mutable_metrics_acknowledgement()->set_number(outbox_.metrics.front());
    outbox_.metrics.pop_front();
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
    LogWarning(absl::StrCat("stream of device ", device_.value(), ": ", status.message()));
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
  streams_.Remove(device_, this);
  // If a newer stream of the device has begun, the device is still connected.
  if (slot_ != nullptr && slot_->Disconnected(stream_number_)) {
    LogInfo(absl::StrCat("device ", device_.value(), " disconnected"));
  }
  self_.reset();
}

}  // namespace wattle::rpc
