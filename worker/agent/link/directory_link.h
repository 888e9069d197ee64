// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells the coordinator that this board serves others of its site, for as long as it does, and asks
// whether a board that wants something was sent here. One thread of its own. Thread-safe.
#ifndef WATTLE_WORKER_AGENT_LINK_DIRECTORY_LINK_H_
#define WATTLE_WORKER_AGENT_LINK_DIRECTORY_LINK_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include "wattle/v1/peer.grpc.pb.h"

namespace wattle::agent {

class DirectoryLink {
 public:
  // addresses: IP:PORT each, where boards of the site reach this one.
  DirectoryLink(std::string coordinator, std::shared_ptr<grpc::ChannelCredentials> credentials,
                std::vector<std::string> addresses);
  ~DirectoryLink();
  DirectoryLink(const DirectoryLink&) = delete;
  DirectoryLink& operator=(const DirectoryLink&) = delete;

  // A stream to the coordinator at this host:port has begun: it may know nothing of this board.
  void OnConnected(const std::string& coordinator);
  void Serve(bool serves);
  // Ends the calls under way; those that come fail.
  void Stop();
  // For how long the answer counts. Errors: kPermissionDenied; those of the link.
  absl::StatusOr<absl::Duration> Check(const v1::CheckPeerRequest& request);

 private:
  // One call at a time of its thread, which Stop ends.
  class Call;
  void Run();
  // How long until the next try.
  absl::Duration Announce(bool serves);
  std::shared_ptr<v1::PeerDirectory::StubInterface> Stub();

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::vector<std::string> addresses_;
  absl::Mutex mutex_;
  std::string coordinator_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<v1::PeerDirectory::StubInterface> stub_ ABSL_GUARDED_BY(mutex_);
  bool serves_ ABSL_GUARDED_BY(mutex_) = false;
  bool due_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_DIRECTORY_LINK_H_
