// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The gRPC server: all services of the protocol, gRPC health and reflection. Permits keepalive.
// Nobody without a certificate of the fleet reaches gRPC (docs/adr/0052-tls-before-grpc.md); who
// enrols is answered beside it, on the same port. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_SERVER_H_
#define WATTLE_COORDINATOR_RPC_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

#include "artifacts/blob_store.h"
#include "base/tls_terminator/tls_terminator.h"
#include "coordinator/authority/authority.h"
#include "coordinator/rpc/access_service.h"
#include "coordinator/rpc/artifact_service.h"
#include "coordinator/rpc/coordinator_service.h"
#include "coordinator/rpc/enrolment_server.h"
#include "coordinator/rpc/fleet_service.h"
#include "coordinator/rpc/gate.h"
#include "coordinator/rpc/peer_directory.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/overview.h"
#include "wattle/v1/access.pb.h"

namespace wattle::rpc {

struct ServerOptions {
  std::string listen_address = "127.0.0.1:7410";  // Port 0: any free port.
  absl::Duration heartbeat_interval = absl::Seconds(1);
  std::string version = {};  // Reported to callers.
  // Signs and judges certificates; must outlive the server. Null: plaintext, for a debugger.
  authority::Authority* authority = nullptr;
  // What each caller may ask, also of another port that has the same limits.
  std::shared_ptr<callers::CallLimits> limits = std::make_shared<callers::CallLimits>();
  // At once, also of one identity; see TlsTerminator.
  int connections_per_address = 1024;
  // As long as a worker waits for a connection (worker/agent/link/channel.h): a handshake takes two
  // round trips, which may be seconds each.
  absl::Duration handshake_patience = absl::Seconds(20);
  int transfers_per_site = 2;  // Boards of a site that fetch at once; see SiteTurns.
  // HOST:PORT to which this coordinator has moved: workers are sent there, and all other calls are
  // refused. Empty: here.
  std::string moved_to = {};
  // Where users of this machine who may read the data directory call as an admin; empty: nowhere.
  std::string local_socket = {};
  // Keeps durably, outside the journal too, what a restore must not forget. Empty: only the journal
  // keeps it.
  AccessService::Keep keep_access = {};
};

class Server {
 public:
  // api, streams, store: must outlive the server. Errors: kUnavailable, with the remedy, when the
  // server cannot listen on the address; those of reading the journal.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       runtime::Api& api, StreamTable& streams,
                                                       artifacts::BlobStore& store);
  ~Server();

  [[nodiscard]] const std::string& address() const { return address_; }  // The bound host:port.
  // Sets the health status to NOT_SERVING, tells the workers, and gives calls a moment to end.
  void Stop();

 private:
  Server(const ServerOptions& options, runtime::Api& api, StreamTable& streams,
         artifacts::BlobStore& store, std::unique_ptr<runtime::Overview> overview,
         std::unique_ptr<TlsTerminator> terminator);
  absl::Status Serve(const ServerOptions& options);
  [[nodiscard]] TlsTerminator::Callbacks CallbacksFor(
      std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor);

  runtime::Runtime& runtime_;
  StreamTable& streams_;
  const std::unique_ptr<runtime::Overview> overview_;
  std::unique_ptr<TlsTerminator> terminator_;  // Null: plaintext.
  const std::shared_ptr<Gate> gate_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  AccessService access_;
  FleetService fleet_;
  PeerDirectory peers_;
  ArtifactService artifacts_;
  CoordinatorService coordinator_;
  const std::shared_ptr<callers::CallLimits> limits_;
  std::unique_ptr<EnrolmentServer> enrolment_;  // Null: plaintext.
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_SERVER_H_
