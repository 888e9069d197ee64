// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The only outbound stream to the coordinator. The link connects, sends messages, passes received
// messages on, and reconnects with jitter for as long as it lives. A message that is sent without a
// stream is dropped, because the core sends its reports again after the next welcome. In the queue
// a heartbeat replaces the one before it; of too many log lines the oldest is dropped. The link has
// two threads; Send and Reconnect are thread-safe.
#ifndef WATTLE_WORKER_AGENT_LINK_COORDINATOR_LINK_H_
#define WATTLE_WORKER_AGENT_LINK_COORDINATOR_LINK_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

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
  std::function<void()> on_connected;  // a stream is open; the first message must be a hello
  std::function<void(v1::CoordinatorMessage)> on_message;
  std::function<void()> on_disconnected;
  std::function<void(std::string)> on_note;  // for people; a repeated problem is told once
};

class CoordinatorLink {
 public:
  // target: host:port. Connects at once in the background.
  CoordinatorLink(std::string target, std::shared_ptr<grpc::ChannelCredentials> credentials,
                  LinkCallbacks callbacks);
  ~CoordinatorLink();
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  void Send(const v1::WorkerMessage& message);
  // Ends the present stream and opens a new one.
  void Reconnect();
  // Waits until the queue is written or `timeout` has passed, for the last messages before the end.
  void Flush(absl::Duration timeout);

 private:
  void Run();
  bool RunStream(const std::shared_ptr<grpc::ChannelInterface>& channel);
  std::optional<v1::WorkerMessage> NextMessage();
  void Wait(absl::Duration time);
  bool Stopping();
  void NoteOnce(const std::string& note);

  const std::string target_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const LinkCallbacks callbacks_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::WorkerMessage> queue_ ABSL_GUARDED_BY(mutex_);
  size_t logs_queued_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::string last_note_;  // only the link's thread uses this and the next field
  bool refused_ = false;   // the last stream ended because of this board's certificate
  std::thread thread_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_COORDINATOR_LINK_H_
