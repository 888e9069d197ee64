// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Uploads and downloads of artifacts. Uses gRPC's blocking API on its own threads, because chunks
// are written with fsync and heartbeats must not wait for that. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_ARTIFACT_SERVICE_H_
#define WATTLE_COORDINATOR_RPC_ARTIFACT_SERVICE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "artifacts/blob_store.h"
#include "base/clock.h"
#include "coordinator/rpc/chunk_rights.h"
#include "coordinator/rpc/gate.h"
#include "coordinator/rpc/peer_directory.h"
#include "coordinator/rpc/uncommitted.h"
#include "coordinator/runtime/api.h"
#include "units/id.h"
#include "wattle/v1/artifact.grpc.pb.h"

namespace wattle::rpc {

class ArtifactService final : public v1::ArtifactService::Service {
 public:
  // api, store, peers: must outlive the server.
  ArtifactService(runtime::Api& api, artifacts::BlobStore& store, const Gate& gate,
                  PeerDirectory& peers)
      : api_(api), store_(store), gate_(gate), peers_(peers), rights_(store) {}

  // Checks free space and quota for the missing chunks, so that a full disk is reported before the
  // upload.
  grpc::Status MissingChunks(grpc::ServerContext* context, const v1::MissingChunksRequest* request,
                             v1::MissingChunksResponse* response) override;
  grpc::Status PutChunks(grpc::ServerContext* context,
                         grpc::ServerReader<v1::PutChunkRequest>* reader,
                         v1::PutChunksResponse* response) override;
  grpc::Status CommitArtifact(grpc::ServerContext* context,
                              const v1::CommitArtifactRequest* request,
                              v1::ArtifactInfo* response) override;
  grpc::Status GetManifest(grpc::ServerContext* context, const v1::GetManifestRequest* request,
                           v1::Manifest* response) override;
  grpc::Status GetChunks(grpc::ServerContext* context, const v1::GetChunksRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override;
  grpc::Status ListArtifacts(grpc::ServerContext* context, const v1::ListArtifactsRequest* request,
                             v1::ListArtifactsResponse* response) override;
  grpc::Status SignArtifact(grpc::ServerContext* context, const v1::SignArtifactRequest* request,
                            v1::ArtifactInfo* response) override;
  grpc::Status RemoveArtifact(grpc::ServerContext* context,
                              const v1::RemoveArtifactRequest* request,
                              v1::RemoveArtifactResponse* response) override;
  grpc::Status ResolveArtifact(grpc::ServerContext* context,
                               const v1::ResolveArtifactRequest* request,
                               v1::ArtifactInfo* response) override;

 private:
  // Who calls, and what of the fleet he may see.
  struct Asker {
    std::string id;
    std::string person;  // Whose quota counts; empty: a device, or nobody who is proved to be one.
    bool is_device = false;
    std::string counted;     // The Caller's.
    std::string own_device;  // To whose leases it is restricted; empty: it is not.
    core::Scope scope;
    [[nodiscard]] ChunkRights::Reader reader() const {
      return {.scope = scope,
              .who = absl::StrCat(is_device ? "device " : "", id),
              .device = own_device};
    }
  };
  // method: of this service. Errors: as Gate::CallerOf.
  [[nodiscard]] absl::StatusOr<Asker> AskerOf(const grpc::ServerContext& context,
                                              absl::string_view method) const;
  [[nodiscard]] absl::StatusOr<std::string> ProjectFor(
      const Asker& asker, const v1::CommitArtifactRequest& request) const;
  // Waits until the transfer may go on after these bytes. Errors: kCancelled.
  [[nodiscard]] absl::Status AwaitTurn(const grpc::ServerContext& context,
                                       const std::string& counted, int64_t bytes) const;
  // What may go where room is wanted, the longest unused first.
  [[nodiscard]] std::vector<ArtifactId> Removable() const;
  // Whether the upload fits, if need be without what is removable. Removes nothing. Errors:
  // kResourceExhausted, see BlobStore::CheckRoom.
  [[nodiscard]] absl::Status CheckCouldFit(int64_t upload_bytes) const;
  // Makes room for an upload, if necessary by evicting unneeded artifacts. Errors: as
  // CheckCouldFit, and then nothing was evicted.
  absl::Status MakeRoom(int64_t upload_bytes, const v1::EventCaller& caller);
  // Errors: core::CheckArtifactQuota's; of a board core::CheckMayUpload's.
  [[nodiscard]] absl::Status CheckMaySend(const Asker& asker, int64_t upload_bytes) const;
  absl::Status StoreChunk(const Asker& asker, const v1::PutChunkRequest& request,
                          const v1::EventCaller& caller);
  [[nodiscard]] Monotonic Now() const { return api_.runtime().Now().monotonic; }

  runtime::Api& api_;
  artifacts::BlobStore& store_;
  const Gate& gate_;
  PeerDirectory& peers_;
  ChunkRights rights_;
  UncommittedBytes uncommitted_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_ARTIFACT_SERVICE_H_
