// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sends boards that want an artifact to the coordinator itself or to a board of their site, by
// core/site_turns. A board is found by another one only while its stream is open. No secret is
// handed out: a serving board asks here whether the board whose certificate it sees was sent to
// it. Uses gRPC's blocking API. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_PEER_DIRECTORY_H_
#define WATTLE_COORDINATOR_RPC_PEER_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/clock.h"
#include "coordinator/core/site_turns.h"
#include "coordinator/rpc/gate.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/peer.grpc.pb.h"

namespace wattle::rpc {

class PeerDirectory final : public v1::PeerDirectory::Service {
 public:
  // runtime, gate: must outlive the server. transfers_per_site: at once, from the coordinator.
  PeerDirectory(runtime::Runtime& runtime, const Gate& gate, int transfers_per_site)
      : runtime_(runtime), gate_(gate), turns_(transfers_per_site) {}

  grpc::Status Announce(grpc::ServerContext* context, const v1::AnnouncePeerRequest* request,
                        v1::AnnouncePeerResponse* response) override;
  grpc::Status Find(grpc::ServerContext* context, const v1::FindPeersRequest* request,
                    v1::FindPeersResponse* response) override;
  grpc::Status Check(grpc::ServerContext* context, const v1::CheckPeerRequest* request,
                     v1::CheckPeerResponse* response) override;
  grpc::Status EndFetch(grpc::ServerContext* context, const v1::EndFetchRequest* request,
                        v1::EndFetchResponse* response) override;

  // A call by which the coordinator sends chunks to the board. No board: nothing is noted.
  class Read {
   public:
    Read(PeerDirectory& directory, std::string board);
    ~Read();
    Read(const Read&) = delete;
    Read& operator=(const Read&) = delete;
    void Sent(int64_t bytes);

   private:
    PeerDirectory& directory_;
    const DeviceId board_;
  };

 private:
  struct Announced {
    std::vector<std::string> addresses;
    Monotonic until;
  };

  // Which board calls; empty on a plaintext port. Errors: those of Gate::Check.
  [[nodiscard]] absl::StatusOr<std::string> BoardOf(const grpc::ServerContext& context,
                                                    absl::string_view method) const;
  // Whether another board may still have the artifact of a board that was sent to it.
  [[nodiscard]] absl::Status CheckBoard(const v1::CheckPeerRequest& request) const;
  [[nodiscard]] std::vector<core::SiteTurns::Neighbour> NeighboursOf(
      const core::SiteTurns::Question& question, Monotonic now);

  runtime::Runtime& runtime_;
  const Gate& gate_;
  absl::Mutex mutex_;
  core::SiteTurns turns_ ABSL_GUARDED_BY(mutex_);
  std::map<DeviceId, Announced> announced_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_PEER_DIRECTORY_H_
