// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/coordinator_link.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

#include "proto/heartbeat_changes.h"
#include "wattle/v1/fleet.grpc.pb.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

// Welcomes every worker, and sends it to moved_to where that is set. Until Admit it takes no
// certificate if `refuses` is set.
class FakeCoordinator final : public v1::FleetService::Service {
 public:
  explicit FakeCoordinator(std::string moved_to = "", bool refuses = false)
      : moved_to_(std::move(moved_to)), refuses_(refuses) {
    Start();
  }
  ~FakeCoordinator() override {
    if (server_ != nullptr) {
      Stop();
    }
  }

  void Start() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  void Stop() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }
  grpc::Status Connect(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>* stream) override {
    if (refuses_) {
      return {grpc::StatusCode::UNAUTHENTICATED, "the certificate of device d1 expired"};
    }
    v1::CoordinatorMessage message;
    if (moved_to_.empty()) {
      message.mutable_welcome();
    } else {
      message.mutable_closing()->set_moved_to(moved_to_);
    }
    stream->Write(message);
    v1::WorkerMessage heard;
    while (moved_to_.empty() && stream->Read(&heard)) {
      absl::MutexLock lock(&mutex_);
      heard_.push_back(heard);
      auto reading = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reading_; };
      mutex_.Await(absl::Condition(&reading));
    }
    return grpc::Status::OK;
  }
  void Admit() { refuses_ = false; }
  void SetReading(bool reading) {
    absl::MutexLock lock(&mutex_);
    reading_ = reading;
  }
  // Waits for a message that `last` holds for, and gives all until then.
  std::vector<v1::WorkerMessage> HeardUntil(
      const std::function<bool(const v1::WorkerMessage&)>& last) {
    absl::MutexLock lock(&mutex_);
    auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !heard_.empty() && last(heard_.back());
    };
    mutex_.Await(absl::Condition(&came));
    return heard_;
  }
  [[nodiscard]] std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  const std::string moved_to_;
  std::atomic<bool> refuses_;
  absl::Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  std::vector<v1::WorkerMessage> heard_ ABSL_GUARDED_BY(mutex_);
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class CoordinatorLinkTest : public testing::Test {
 protected:
  void Link(std::vector<std::string> targets) {
    LinkCallbacks callbacks;
    callbacks.on_connected = [this](const std::string& target) {
      absl::MutexLock lock(&mutex_);
      target_ = target;
    };
    callbacks.on_message = [this](const v1::CoordinatorMessage& message) {
      absl::MutexLock lock(&mutex_);
      if (message.has_welcome()) {
        welcomed_by_.push_back(target_);
      } else {
        moved_to_.push_back(message.closing().moved_to());
      }
    };
    callbacks.on_disconnected = [] {};
    callbacks.on_refused = [this] { on_refused_(); };
    callbacks.on_note = [this](std::string note) {
      absl::MutexLock lock(&mutex_);
      notes_.push_back(std::move(note));
    };
    link_ = std::make_unique<CoordinatorLink>(std::move(targets),
                                              grpc::InsecureChannelCredentials(), callbacks);
  }
  // The address of the next welcome, or the one to which the coordinator moved.
  std::string Next(std::deque<std::string>& events) {
    absl::MutexLock lock(&mutex_);
    auto came = [&events] { return !events.empty(); };
    mutex_.Await(absl::Condition(&came));
    std::string event = std::move(events.front());
    events.pop_front();
    return event;
  }

  std::function<void()> on_refused_ = [] {};
  absl::Mutex mutex_;
  std::string target_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> welcomed_by_;
  std::deque<std::string> moved_to_;
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<CoordinatorLink> link_;
};

TEST_F(CoordinatorLinkTest, TheNextAddressIsTriedWhereOneDoesNotAnswer) {
  FakeCoordinator gone;
  gone.Stop();
  FakeCoordinator here;
  Link({gone.address(), here.address()});
  EXPECT_EQ(Next(welcomed_by_), here.address());
  here.Stop();
  gone.Start();
  EXPECT_EQ(Next(welcomed_by_), gone.address());
  absl::MutexLock lock(&mutex_);
  EXPECT_THAT(notes_.front(), HasSubstr(absl::StrCat(gone.address(), ": not reachable")));
}

// A board whose clock is wrong does not know that its certificate is old until the coordinator
// refuses it.
TEST_F(CoordinatorLinkTest, ARefusedCertificateIsToldAndANewOneIsWelcome) {
  FakeCoordinator coordinator("", /*refuses=*/true);
  on_refused_ = [&coordinator] { coordinator.Admit(); };
  Link({coordinator.address()});
  EXPECT_EQ(Next(welcomed_by_), coordinator.address());
}

TEST_F(CoordinatorLinkTest, TheLinkStaysWhereItWasWelcomedAfterACut) {
  FakeCoordinator first;
  FakeCoordinator second;
  Link({first.address(), second.address()});
  EXPECT_EQ(Next(welcomed_by_), first.address());
  link_->Reconnect();
  EXPECT_EQ(Next(welcomed_by_), first.address());
}

TEST_F(CoordinatorLinkTest, AWorkerThatIsTurnedAwayGoesToTheNextAddress) {
  FakeCoordinator first;
  FakeCoordinator second;
  Link({first.address(), second.address()});
  EXPECT_EQ(Next(welcomed_by_), first.address());
  link_->TryNext();
  EXPECT_EQ(Next(welcomed_by_), second.address());
}

TEST_F(CoordinatorLinkTest, TheLinkGoesToAnAddressThatItDidNotKnow) {
  FakeCoordinator here;
  FakeCoordinator gone(here.address());
  Link({gone.address()});
  EXPECT_EQ(Next(moved_to_), here.address());
  link_->Follow(here.address());
  EXPECT_EQ(Next(welcomed_by_), here.address());
  link_->Reconnect();
  EXPECT_EQ(Next(welcomed_by_), here.address());
}

// However the link joins them, the coordinator ends with what the last one told.
TEST_F(CoordinatorLinkTest, HeartbeatsThatWaitAreJoinedWithoutLoss) {
  FakeCoordinator here;
  Link({here.address()});
  EXPECT_EQ(Next(welcomed_by_), here.address());
  here.SetReading(false);
  v1::Heartbeat told;
  told.add_cached_artifact_ids(
      std::string(1 << 20, 'a'));  // with the reasons: more than any window
  v1::WorkerMessage message;
  *message.mutable_heartbeat() = told;
  link_->Send(message);
  v1::Heartbeat now = told;
  for (int beat = 1; beat <= 50; ++beat) {
    now.set_unix_seconds(beat);
    now.set_guard_reason(beat % 2 == 0 ? "" : std::string(2'000'000, 'r'));
    *message.mutable_heartbeat_changes() = ChangesOf(told, now);
    ApplyChanges(message.heartbeat_changes(), told);
    link_->Send(message);
  }
  here.SetReading(true);
  v1::Heartbeat known;
  const auto heard = here.HeardUntil([](const v1::WorkerMessage& last) {
    return last.heartbeat().unix_seconds() == 50 ||
           last.heartbeat_changes().changed().unix_seconds() == 50;
  });
  EXPECT_LT(heard.size(), 51U) << "none was joined";
  for (const v1::WorkerMessage& one : heard) {
    if (one.has_heartbeat()) {
      known = one.heartbeat();
    } else {
      ApplyChanges(one.heartbeat_changes(), known);
    }
  }
  EXPECT_EQ(known.SerializeAsString(), now.SerializeAsString());
}

}  // namespace
}  // namespace wattle::agent
