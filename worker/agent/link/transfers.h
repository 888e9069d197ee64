// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Moves artifacts between the coordinator and this device's cache, one at a time, on its own thread
// and over one connection, which is kept from try to try. Methods are thread-safe.
#ifndef WATTLE_WORKER_AGENT_LINK_TRANSFERS_H_
#define WATTLE_WORKER_AGENT_LINK_TRANSFERS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/security/credentials.h>

#include "artifacts/disk_budget.h"
#include "artifacts/file_cache.h"
#include "units/id.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/peer.grpc.pb.h"
#include "worker/agent/core/agent_ports.h"

namespace wattle::agent {

struct TransferCallbacks {  // called on the transfers' thread
  std::function<void(FetchResult)> on_fetched;
  std::function<void(UploadResult)> on_uploaded;
  std::function<void(UploadProgress)> on_upload_progress;  // after each chunk
  std::function<void(FetchResult)> on_release_fetched;
  std::function<void(int64_t fetched_bytes, int64_t size_bytes)> on_release_progress;
  // The cache changed: ids of the complete artifacts, and the used bytes.
  std::function<void(std::vector<std::string>, int64_t)> on_cache;
  // Artifact bytes went over the link, after each chunk.
  std::function<void(const v1::LinkBytes&)> on_link_bytes;
  // MakeRoom could not free this many bytes.
  std::function<void(int64_t)> on_short_of_room;
  // Bytes came from a board of the site, which the link to the coordinator did not carry.
  std::function<void(int64_t)> on_peer_bytes = [](int64_t) {};
  std::function<void()> on_peers_wrong_bytes = [] {};  // a board sent what is not the artifact
  std::function<void(const std::string&)> on_note = [](const std::string&) {};  // for people
};

// Credentials with which this board connects to the board of this id. Empty: it fetches only from
// the coordinator, without asking for its turn.
using PeerCredentialsSource =
    std::function<std::shared_ptr<grpc::ChannelCredentials>(const std::string& device_id)>;

class Transfers {
 public:
  // target: the coordinator's host:port. budget: the cache's. Errors: those of FileCache::Open.
  static absl::StatusOr<std::unique_ptr<Transfers>> Open(
      const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
      artifacts::DiskBudget budget, TransferCallbacks callbacks,
      PeerCredentialsSource peer_credentials = {});
  ~Transfers();

  // needed: artifacts of all held attempts, which stay in the cache. checkpoint_directory: receives
  // the assignment's uploaded checkpoint, if there is one, unless this directory exists. A
  // checkpoint that cannot be fetched costs time, but does not fail the attempt.
  void Fetch(const v1::Assignment& assignment, std::vector<std::string> needed,
             const std::string& checkpoint_directory);
  // Fetches the artifact of a release, and hands its files to install, on the transfers' thread.
  void FetchRelease(const std::string& artifact_id, std::vector<std::string> needed,
                    std::function<absl::Status(const std::string& directory)> install);
  void Upload(const std::string& directory, const v1::ArtifactInfo& info);
  // The coordinator is at this host:port: for all transfers that begin after this call.
  void UseCoordinator(const std::string& target);
  void Cancel();  // cancels the present transfer, whose result still comes
  // Makes room for about this many bytes of another writer: unneeded artifacts are removed.
  void MakeRoom(int64_t size_bytes, std::vector<std::string> needed);

 private:
  // By one call of Fetch or Upload.
  struct Moved {
    int64_t bytes = 0;       // over the link
    int64_t peer_bytes = 0;  // from boards of the site
    absl::Duration in{};     // until the last byte came
  };
  Transfers(const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
            std::unique_ptr<artifacts::FileCache> cache, TransferCallbacks callbacks,
            PeerCredentialsSource peer_credentials);
  void Dial();
  void Run();
  FetchResult RunFetch(const v1::Assignment& assignment, const std::vector<std::string>& needed,
                       const std::string& checkpoint_directory);
  UploadResult RunUpload(const std::string& directory, const v1::ArtifactInfo& info);
  FetchResult RunFetchRelease(
      const std::string& artifact_id,
      const std::function<absl::Status(const std::string& directory)>& install);
  absl::Status Bring(const ArtifactId& id, Moved& moved);
  absl::StatusOr<artifacts::FileCache::Files> BringVerified(const ArtifactId& id, Moved& moved);
  absl::StatusOr<FetchedInput> FetchInput(const v1::ResolvedInput& input, Moved& moved);
  absl::Status PlaceCheckpoint(const ArtifactId& id, const std::string& directory, Moved& moved);
  absl::StatusOr<v1::ArtifactInfo> Push(const std::string& directory, const v1::ArtifactInfo& info,
                                        Moved& moved);
  void KeepOnly(const std::vector<std::string>& needed);
  void TellCache();
  void Enqueue(std::function<void()> job);

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const PeerCredentialsSource peer_credentials_;
  // Only the thread below uses these:
  std::string target_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
  std::unique_ptr<v1::PeerDirectory::Stub> directory_;
  const std::unique_ptr<artifacts::FileCache> cache_;
  bool fetches_release_ = false;
  std::string pushed_directory_;  // the directory whose manifest was built last; empty: none
  v1::Manifest pushed_manifest_;
  const TransferCallbacks callbacks_;
  std::atomic<bool> cancelled_{false};
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_TRANSFERS_H_
