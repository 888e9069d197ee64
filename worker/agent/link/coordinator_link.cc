// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/coordinator_link.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "artifacts/transfer/grpc_status.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "proto/heartbeat_changes.h"
#include "wattle/v1/fleet.grpc.pb.h"
#include "worker/agent/core/link_meter.h"
#include "worker/agent/link/channel.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kBackoffMin = absl::Milliseconds(200);
constexpr absl::Duration kBackoffMax = absl::Seconds(15);
// Log lines may be lost. The limit keeps a chatty runner from filling the agent's memory.
constexpr size_t kLogsMax = 200;

}  // namespace

CoordinatorLink::CoordinatorLink(std::vector<std::string> targets,
                                 std::shared_ptr<grpc::ChannelCredentials> credentials,
                                 LinkCallbacks callbacks)
    : credentials_(std::move(credentials)),
      callbacks_(std::move(callbacks)),
      targets_(std::move(targets)) {
  thread_ = std::thread([this] { Run(); });
}

CoordinatorLink::~CoordinatorLink() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (context_ != nullptr) {
      context_->TryCancel();
    }
  }
  thread_.join();
}

// The heartbeat that waits then says what both said. False: none waits, or this is no heartbeat.
bool CoordinatorLink::JoinsHeartbeat(const v1::WorkerMessage& message) {
  if (!message.has_heartbeat() && !message.has_heartbeat_changes()) {
    return false;
  }
  const auto waiting = std::find_if(queue_.begin(), queue_.end(), [](const auto& other) {
    return other.has_heartbeat() || other.has_heartbeat_changes();
  });
  if (waiting == queue_.end()) {
    return false;
  }
  if (message.has_heartbeat()) {
    *waiting = message;
  } else if (waiting->has_heartbeat()) {
    ApplyChanges(message.heartbeat_changes(), *waiting->mutable_heartbeat());
  } else {
    AddChanges(message.heartbeat_changes(), *waiting->mutable_heartbeat_changes());
  }
  return true;
}

void CoordinatorLink::Send(const v1::WorkerMessage& message) {
  absl::MutexLock lock(&mutex_);
  if (!open_) {
    return;
  }
  if (JoinsHeartbeat(message)) {
    return;
  }
  if (message.has_log()) {
    if (logs_queued_ == kLogsMax) {
      queue_.erase(std::find_if(queue_.begin(), queue_.end(),
                                [](const auto& other) { return other.has_log(); }));
      --logs_queued_;
    }
    ++logs_queued_;
  }
  queue_.push_back(message);
}

void CoordinatorLink::Reconnect() {
  absl::MutexLock lock(&mutex_);
  if (context_ != nullptr) {
    context_->TryCancel();
  }
}

void CoordinatorLink::Follow(const std::string& target) {
  absl::MutexLock lock(&mutex_);
  targets_.erase(std::remove(targets_.begin(), targets_.end(), target), targets_.end());
  targets_.insert(targets_.begin(), target);
  at_ = 0;
  followed_ = true;
  if (context_ != nullptr) {
    context_->TryCancel();
  }
}

void CoordinatorLink::TryNext() {
  absl::MutexLock lock(&mutex_);
  if (context_ != nullptr) {
    turned_away_ = true;
    context_->TryCancel();
  }
}

v1::LinkBytes CoordinatorLink::TakeBytes() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(bytes_, {});
}

void CoordinatorLink::Flush(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  auto written = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !open_ || (queue_.empty() && !writing_);
  };
  mutex_.AwaitWithTimeout(absl::Condition(&written), timeout);
}

std::optional<v1::WorkerMessage> CoordinatorLink::NextMessage() {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !open_ || !queue_.empty();
  };
  mutex_.Await(absl::Condition(&ready));
  if (stopping_ || !open_) {
    return std::nullopt;
  }
  v1::WorkerMessage message = std::move(queue_.front());
  queue_.pop_front();
  logs_queued_ -= message.has_log() ? 1 : 0;
  writing_ = true;
  return message;
}

bool CoordinatorLink::Stopping() {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

void CoordinatorLink::NoteOnce(const std::string& note) {
  if (noted_.insert(note).second) {
    callbacks_.on_note(note);
  }
}

// True if the coordinator welcomed the worker, so that the backoff begins anew.
bool CoordinatorLink::RunStream(const std::shared_ptr<grpc::ChannelInterface>& channel) {
  const auto stub = v1::FleetService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Connect(&context);
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      context.TryCancel();
    }
    context_ = &context;
    queue_.clear();
    logs_queued_ = 0;
    open_ = true;
  }
  callbacks_.on_connected(target_);
  bool welcomed = false;
  grpc::Status status;
  std::thread reader([this, &stream, &context, &welcomed, &status] {
    v1::CoordinatorMessage message;
    while (stream->Read(&message)) {
      welcomed = welcomed || message.has_welcome();
      {
        absl::MutexLock lock(&mutex_);
        CountMessage(message, bytes_);
      }
      callbacks_.on_message(std::move(message));
      message.Clear();
    }
    status = stream->Finish();  // first: after a cancel it would say nothing but that
    context.TryCancel();        // makes a stuck Write return
    absl::MutexLock lock(&mutex_);
    open_ = false;
  });
  while (const std::optional<v1::WorkerMessage> message = NextMessage()) {
    if (!stream->Write(*message)) {
      break;
    }
    absl::MutexLock lock(&mutex_);
    CountMessage(*message, bytes_);
  }
  context.TryCancel();
  reader.join();
  {
    absl::MutexLock lock(&mutex_);
    context_ = nullptr;
    writing_ = false;
    welcomed = welcomed && !turned_away_;
    turned_away_ = false;
  }
  callbacks_.on_disconnected();
  refused_ = status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
  if (refused_) {
    callbacks_.on_refused();
  }
  // The link's own cancellation needs no note.
  if (Stopping()) {
    return welcomed;
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      PeerSpeaksNoGrpc(status.error_message())) {
    NoteOnce(absl::StrCat("coordinator ", target_, ": ", ConnectionTrouble(status.error_message()),
                          "; trying again"));
  } else if (status.error_code() != grpc::StatusCode::CANCELLED && !status.ok()) {
    NoteOnce(absl::StrCat("coordinator ", target_, ": ", status.error_message()));
  } else if (welcomed) {
    NoteOnce(absl::StrCat("coordinator ", target_, ": the stream ended; reconnecting"));
  }
  return welcomed;
}

void CoordinatorLink::Wait(absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), time);
}

std::string CoordinatorLink::Target() {
  absl::MutexLock lock(&mutex_);
  return targets_[at_];
}

bool CoordinatorLink::Turn(bool failed) {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(followed_, false)) {
    return false;
  }
  if (failed) {
    at_ = (at_ + 1) % targets_.size();
  }
  return !failed || at_ == 0;
}

CoordinatorLink::Outcome CoordinatorLink::Try(
    const std::shared_ptr<grpc::ChannelInterface>& channel) {
  if (channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kBackoffMin))) {
    return RunStream(channel) ? Outcome::kWelcomed : Outcome::kFailed;
  }
  NoteOnce(absl::StrCat("coordinator ", target_,
                        ": not reachable; trying on (is wattle-coordinator running there? see "
                        "--coordinator)"));
  return channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_CONNECTING
             ? Outcome::kConnecting
             : Outcome::kFailed;
}

void CoordinatorLink::Run() {
  Backoff backoff(kBackoffMin, std::random_device{}());
  // One channel for all streams to an address, because it keeps the resolved address and reconnects
  // on demand.
  std::shared_ptr<grpc::Channel> channel;
  Monotonic begun;
  while (!Stopping()) {
    // A connection keeps the certificate that it began with; a renewed one wants a new one.
    if (std::string target = Target(); target != target_ || channel == nullptr || refused_) {
      target_ = std::move(target);
      refused_ = false;
      channel = MakeChannel(target_, credentials_, ChannelUse::kLink);
      begun = Clock::Real().Boottime();
    }
    const Outcome outcome = Try(channel);
    const bool given_up =
        outcome == Outcome::kConnecting && Clock::Real().Boottime() - begun > kConnectLimit;
    const bool waits = Turn(outcome == Outcome::kFailed || given_up);
    if (outcome == Outcome::kWelcomed) {
      noted_.clear();
      backoff.Reset();
    }
    if (waits) {
      Wait(backoff.AfterFailure(kBackoffMax));
    }
  }
}

}  // namespace wattle::agent
