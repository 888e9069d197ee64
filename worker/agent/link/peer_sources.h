// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where one fetch of an artifact gets its chunks: from the coordinator, or from a board of the site
// to which the coordinator sends this one. The fetch waits if the coordinator's answer is to wait.
// A board that sends wrong bytes is not asked again. Use it from one thread.
#ifndef WATTLE_WORKER_AGENT_LINK_PEER_SOURCES_H_
#define WATTLE_WORKER_AGENT_LINK_PEER_SOURCES_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include <grpcpp/security/credentials.h>

#include "artifacts/transfer/transfer.h"
#include "base/clock.h"
#include "identity/identity.h"
#include "units/id.h"
#include "wattle/v1/peer.grpc.pb.h"

namespace wattle::agent {

// By which this board dials another one: it shows its own certificate and wants that of
// `device_id`.
std::shared_ptr<grpc::ChannelCredentials> PeerCredentials(const identity::Identity& own,
                                                          const std::string& device_id);

class PeerSources final : public artifacts::ChunkSources {
 public:
  struct Options {
    v1::PeerDirectory::StubInterface* directory = nullptr;  // outlives the object
    std::function<std::shared_ptr<grpc::ChannelCredentials>(const std::string& device_id)>
        credentials_of{};
    std::function<bool()> cancelled;
    std::function<void(const std::string&)> on_note = [](const std::string&) {};  // for people
    std::function<void()> on_wrong_bytes = [] {};
    // Between two tries of boards that did not serve.
    absl::Duration pause = absl::Seconds(1);
  };
  explicit PeerSources(Options options);

  Stream Open(const ArtifactId& id, const std::vector<artifacts::ChunkId>& chunks,
              grpc::ClientContext& context) override;
  void Ended(const absl::Status& status, size_t chunks_came) override;
  // The artifact is whole: the next board of the site may go, and be sent to this one.
  void EndFetch(const ArtifactId& id);

 private:
  // Asks the coordinator; true: a board is to be asked.
  bool FindPeer(const ArtifactId& id);
  void UsePeer(const v1::Peer& peer, absl::Duration valid);
  void Dial();  // the first of addresses_
  void DropPeer(bool for_good);
  void Wait(absl::Duration time);

  const Options options_;
  bool asked_ = false;
  bool coordinator_ = false;  // for the rest of the fetch
  std::string peer_;          // its device id; empty: none
  std::deque<std::string> addresses_;
  std::unique_ptr<v1::PeerChunks::StubInterface> stub_;
  Monotonic valid_until_;
  std::set<std::string> avoided_;
  std::map<std::string, int> failures_;
  bool told_wait_ = false;
  std::minstd_rand random_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_PEER_SOURCES_H_
