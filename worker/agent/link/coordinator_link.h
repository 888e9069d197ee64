// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The only outbound stream to the coordinator. The link connects, sends messages, passes received
// messages on, and reconnects with jitter for as long as it lives. With several addresses it tries
// them in turn, and stays where it was welcomed. A message that is sent without a stream is
// dropped, because the core sends its reports again after the next welcome. In the queue a
// heartbeat joins the one before it; of too many log lines the oldest is dropped. The link has
// two threads; its methods are thread-safe.
#ifndef WATTLE_WORKER_AGENT_LINK_COORDINATOR_LINK_H_
#define WATTLE_WORKER_AGENT_LINK_COORDINATOR_LINK_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "wattle/v1/fleet.pb.h"

namespace grpc {
class ChannelCredentials;
class ChannelInterface;
class ClientContext;
}  // namespace grpc

namespace wattle::agent {

// Called on the link's threads.
struct LinkCallbacks {
  // A stream to this host:port is open; the first message must be a hello.
  std::function<void(const std::string&)> on_connected;
  std::function<void(v1::CoordinatorMessage)> on_message;
  std::function<void()> on_disconnected;
  std::function<void()> on_refused;  // the coordinator takes this board's certificate no more
  std::function<void(std::string)> on_note;  // for people; a repeated problem is reported once
};

class CoordinatorLink {
 public:
  // targets: host:port each, at least one, the likeliest first. Connects at once in the background.
  CoordinatorLink(std::vector<std::string> targets,
                  std::shared_ptr<grpc::ChannelCredentials> credentials, LinkCallbacks callbacks);
  ~CoordinatorLink();
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  void Send(const v1::WorkerMessage& message);
  // Ends the present stream and opens a new one.
  void Reconnect();
  // Ends the present stream and goes to this address, which from now on is the first one.
  void Follow(const std::string& target);
  // Ends the present stream and goes to the next address.
  void TryNext();
  // What went over the stream since the last call, by purpose.
  v1::LinkBytes TakeBytes();
  // Waits until the queue is written or `timeout` has passed, for the last messages before the end.
  void Flush(absl::Duration timeout);

 private:
  enum class Outcome { kConnecting, kFailed, kWelcomed };

  bool JoinsHeartbeat(const v1::WorkerMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  Outcome Try(const std::shared_ptr<grpc::ChannelInterface>& channel);
  bool RunStream(const std::shared_ptr<grpc::ChannelInterface>& channel);
  // Chooses the address of the next try; `failed`: the present one is given up. False if the next
  // try follows at once: another address of this round, or one that Follow named.
  bool Turn(bool failed);
  std::string Target();
  std::optional<v1::WorkerMessage> NextMessage();
  void Wait(absl::Duration time);
  bool Stopping();
  void NoteOnce(const std::string& note);

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const LinkCallbacks callbacks_;
  absl::Mutex mutex_;
  std::vector<std::string> targets_ ABSL_GUARDED_BY(mutex_);
  size_t at_ ABSL_GUARDED_BY(mutex_) = 0;             // the present address
  bool followed_ ABSL_GUARDED_BY(mutex_) = false;     // Follow came since the last choice
  bool turned_away_ ABSL_GUARDED_BY(mutex_) = false;  // TryNext came during the present stream
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::WorkerMessage> queue_ ABSL_GUARDED_BY(mutex_);
  size_t logs_queued_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::LinkBytes bytes_ ABSL_GUARDED_BY(mutex_);
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Only the link's thread uses these:
  std::string target_;           // of the present channel
  std::set<std::string> noted_;  // problems that were reported since the last welcome
  bool refused_ = false;         // the last stream ended because of this board's certificate
  std::thread thread_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_COORDINATOR_LINK_H_
