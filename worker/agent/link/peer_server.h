// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Serves chunks of this board's cache to boards of the fleet that the coordinator sends here, over
// TLS with both certificates, which ends before gRPC (base/tls_terminator). The certificate names
// the board that asks; this board asks the coordinator, once a minute, whether that board was sent
// here for that artifact. Knowing a hash gives nothing. Few boards at once share a bounded rate.
// Thread-safe.
#ifndef WATTLE_WORKER_AGENT_LINK_PEER_SERVER_H_
#define WATTLE_WORKER_AGENT_LINK_PEER_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include <grpcpp/server.h>

#include "base/clock.h"
#include "base/tls_terminator/tls_terminator.h"
#include "identity/identity.h"
#include "wattle/v1/peer.grpc.pb.h"

namespace wattle::agent {

// Where --peer-listen listens: PORT for all interfaces, or IP:PORT; port 0: any free one. Errors:
// kInvalidArgument names the flag.
absl::StatusOr<std::string> PeerListenAddress(const std::string& flag);

class PeerServer final : public v1::PeerChunks::Service {
 public:
  struct Options {
    std::string listen;  // as PeerListenAddress gives it
    std::string cache_directory;
    identity::Identity identity;
    double bytes_per_second = 8 << 20;  // of all boards together
    // Asks the coordinator; how long its answer counts. Errors: kPermissionDenied.
    std::function<absl::StatusOr<absl::Duration>(const v1::CheckPeerRequest&)> check;
  };
  // Errors: kFailedPrecondition, with the flag and the remedy, when it cannot listen there.
  static absl::StatusOr<std::unique_ptr<PeerServer>> Start(Options options);
  ~PeerServer() override;

  // Serves nothing before Serve(true), and ends what it serves on Serve(false).
  void Serve(bool serves) { serves_ = serves; }
  // IP:PORT each, where boards of the site may reach this one.
  [[nodiscard]] std::vector<std::string> addresses() const;
  [[nodiscard]] int64_t served_bytes() const { return served_bytes_; }

  grpc::Status GetChunks(grpc::ServerContext* context, const v1::PeerChunksRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override;

 private:
  struct Caller {
    std::string device_id;
    std::string public_key_sha256;  // raw
  };
  using Permit = std::tuple<std::string, std::string, std::string>;  // device, key, artifact

  explicit PeerServer(Options options) : options_(std::move(options)) {}
  [[nodiscard]] absl::StatusOr<Caller> CallerOf(const grpc::ServerContext& context) const;
  absl::Status CheckPermit(const Caller& caller, const std::string& artifact_id);
  absl::Status Send(const v1::PeerChunksRequest& request, grpc::ServerContext& context,
                    grpc::ServerWriter<v1::Chunk>& writer);
  // Waits for this many bytes' place on the line. Errors: kUnavailable when it serves no more;
  // kCancelled.
  absl::Status AwaitLine(size_t bytes, const grpc::ServerContext& context);

  const Options options_;
  std::atomic<bool> serves_{false};
  std::atomic<int> streams_{0};
  std::atomic<int64_t> served_bytes_{0};
  absl::Mutex mutex_;
  Monotonic line_free_ ABSL_GUARDED_BY(mutex_);
  std::map<Permit, Monotonic> permits_ ABSL_GUARDED_BY(mutex_);  // until when
  std::unique_ptr<TlsTerminator> terminator_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_PEER_SERVER_H_
