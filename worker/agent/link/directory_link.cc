// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/directory_link.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/time/clock.h"

#include "artifacts/transfer/grpc_status.h"
#include "base/backoff.h"
#include "worker/agent/link/channel.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kCallLimit = absl::Seconds(20);
constexpr absl::Duration kAgainMin = absl::Seconds(10);
constexpr absl::Duration kAgainMax = absl::Hours(1);
constexpr absl::Duration kAnnounceBackoffMin = absl::Seconds(2);
constexpr absl::Duration kAnnounceBackoffMax = absl::Minutes(5);

}  // namespace

class DirectoryLink::Call {
 public:
  explicit Call(DirectoryLink& link) : link_(link) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + kCallLimit));
    absl::MutexLock lock(&link_.mutex_);
    link_.calls_.insert(&context_);
    if (link_.stopping_) {
      context_.TryCancel();
    }
  }
  ~Call() {
    absl::MutexLock lock(&link_.mutex_);
    link_.calls_.erase(&context_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  grpc::ClientContext* context() { return &context_; }

 private:
  DirectoryLink& link_;
  grpc::ClientContext context_;
};

DirectoryLink::DirectoryLink(std::string coordinator,
                             std::shared_ptr<grpc::ChannelCredentials> credentials,
                             std::vector<std::string> addresses)
    : credentials_(std::move(credentials)),
      addresses_(std::move(addresses)),
      coordinator_(std::move(coordinator)) {
  thread_ = std::thread([this] { Run(); });
}

DirectoryLink::~DirectoryLink() {
  Stop();
  thread_.join();
}

void DirectoryLink::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  for (grpc::ClientContext* const call : calls_) {
    call->TryCancel();
  }
}

void DirectoryLink::OnConnected(const std::string& coordinator) {
  absl::MutexLock lock(&mutex_);
  if (coordinator != coordinator_) {
    coordinator_ = coordinator;
    stub_.reset();
  }
  due_ = serves_;
}

void DirectoryLink::Serve(bool serves) {
  absl::MutexLock lock(&mutex_);
  due_ = due_ || serves != serves_;
  serves_ = serves;
}

std::shared_ptr<v1::PeerDirectory::StubInterface> DirectoryLink::Stub() {
  absl::MutexLock lock(&mutex_);
  if (stub_ == nullptr) {
    stub_ =
        v1::PeerDirectory::NewStub(MakeChannel(coordinator_, credentials_, ChannelUse::kTransfer));
  }
  return stub_;
}

absl::StatusOr<absl::Duration> DirectoryLink::Check(const v1::CheckPeerRequest& request) {
  Call call(*this);
  v1::CheckPeerResponse response;
  const absl::Status checked = FromGrpc(Stub()->Check(call.context(), request, &response));
  return checked.ok() ? absl::StatusOr<absl::Duration>(absl::Seconds(response.valid_seconds()))
                      : checked;
}

// Called by the thread. Returns the time until the coordinator wants the next announcement, or
// until the next try.
absl::Duration DirectoryLink::Announce(bool serves) {
  v1::AnnouncePeerRequest request;
  if (serves) {
    request.mutable_addresses()->Add(addresses_.begin(), addresses_.end());
  }
  Call call(*this);
  v1::AnnouncePeerResponse response;
  const absl::Status told = FromGrpc(Stub()->Announce(call.context(), request, &response));
  if (told.ok()) {
    return std::clamp(absl::Seconds(response.again_after_seconds()), kAgainMin, kAgainMax);
  }
  // An older coordinator, or one that does not want this board: the next stream asks again.
  const bool is_refused = absl::IsUnimplemented(told) || absl::IsPermissionDenied(told);
  return is_refused ? absl::InfiniteDuration() : absl::ZeroDuration();
}

void DirectoryLink::Run() {
  Backoff backoff(kAnnounceBackoffMin, std::random_device{}());
  absl::Duration wait = absl::InfiniteDuration();  // until the first stream
  while (true) {
    bool serves = false;
    {
      absl::MutexLock lock(&mutex_);
      auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || due_; };
      mutex_.AwaitWithTimeout(absl::Condition(&ready), wait);
      if (stopping_) {
        return;
      }
      due_ = false;
      serves = serves_;
    }
    wait = Announce(serves);
    if (wait > absl::ZeroDuration()) {
      backoff.Reset();
    } else {
      wait = backoff.AfterFailure(kAnnounceBackoffMax);
    }
    // Without boards to serve there is nothing to repeat.
    wait = serves ? wait : absl::InfiniteDuration();
  }
}

}  // namespace wattle::agent
