// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/descriptor.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include <climits>

#include "base/status_macros.h"
#include "base/tls/credentials.h"
#include "coordinator/access/access_table.h"
#include "coordinator/callers/callers.h"
#include "coordinator/rpc/message_counter.h"
#include "coordinator/rpc/services.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/peer.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"
#include "wattle/v1/upgrade.grpc.pb.h"

namespace wattle::rpc {
namespace {

constexpr absl::Duration kStopPatience = absl::Seconds(1);
constexpr int kStreamsOfAConnection = 128;
constexpr int kUnreadMost = 32;  // A few for each core: more would only wait within this process.
// Of the process, that connections leave for the HTTP port, the journal and the artifacts; where
// there are few in all, a quarter of them.
constexpr rlim_t kFilesForOthers = 768;

void EnablePlugins() {
  static std::once_flag once;  // gRPC's plugins are process-wide and must be added once.
  std::call_once(once, [] {
    // Links the descriptors of gRPC's own health service, so that reflection can report them.
    (void)grpc::health::v1::HealthCheckRequest::descriptor();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

void PermitKeepalive(grpc::ServerBuilder& builder) {
  // Workers behind NAT send pings when idle. The coordinator sends pings too, to find dead links,
  // but not between two heartbeats of a metered link, which come a minute apart at most.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 75'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
}

// What one connection may hold of this server, whoever is at its other end.
void LimitConnections(absl::Duration handshake_patience, grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(handshake_patience)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsOfAConnection);
}

// 0: no limit.
int ConnectionsMost() {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT_MAX) {
    return 0;
  }
  return static_cast<int>(files.rlim_cur - std::min(kFilesForOthers, files.rlim_cur / 4));
}

Listener::Limits LimitsOf(const ServerOptions& options) {
  if (options.authority == nullptr) {
    return {};
  }
  return {.connections = ConnectionsMost(),
          .connections_per_address = options.connections_per_address,
          .unread = kUnreadMost,
          .on_refused = [limits = options.limits] { limits->NoteRefusedConnection(); },
          .tls = options.authority != nullptr};
}

// Every method that this server registers has its row.
absl::Status CheckMethods() {
  for (const char* name :
       {v1::JobService::service_full_name(), v1::DeviceService::service_full_name(),
        v1::PolicyService::service_full_name(), v1::ProfileService::service_full_name(),
        v1::ForecastService::service_full_name(), v1::UpgradeService::service_full_name(),
        v1::AccessService::service_full_name(), v1::FleetService::service_full_name(),
        v1::ArtifactService::service_full_name(), v1::CoordinatorService::service_full_name(),
        v1::PeerDirectory::service_full_name()}) {
    const google::protobuf::ServiceDescriptor& service =
        *google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    for (int i = 0; i < service.method_count(); ++i) {
      WATTLE_RETURN_IF_ERROR(
          access::RequireRow(absl::StrCat("/", name, "/", service.method(i)->name())));
    }
  }
  return absl::OkStatus();
}

}  // namespace

Server::Server(const ServerOptions& options, runtime::Api& api, StreamTable& streams,
               artifacts::BlobStore& store, std::unique_ptr<runtime::Overview> overview)
    : runtime_(api.runtime()),
      streams_(streams),
      overview_(std::move(overview)),
      gate_(std::make_shared<Gate>(api.runtime(),
                                   options.authority == nullptr ? "" : options.authority->fleet(),
                                   options.limits, options.moved_to)),
      services_(MakeServices(api, *gate_, options.version)),
      access_(api.runtime(), streams, *gate_, options.authority, options.keep_access),
      fleet_(api.runtime(), streams, *gate_, options.heartbeat_interval),
      peers_(api.runtime(), *gate_, options.transfers_per_site),
      artifacts_(api, store, *gate_, peers_),
      coordinator_(*overview_, *gate_, options.authority, options.version,
                   options.heartbeat_interval),
      limits_(options.limits) {
  limits_->refused_calls().SetTell(
      [this](const std::string& line) { overview_->feed().TellRefusal(line); });
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      runtime::Api& api, StreamTable& streams,
                                                      artifacts::BlobStore& store) {
  WATTLE_RETURN_IF_ERROR(CheckMethods());
  EnablePlugins();
  WATTLE_ASSIGN_OR_RETURN(
      std::unique_ptr<runtime::Overview> overview,
      runtime::Overview::Open(api.runtime(), [limits = options.limits, &runtime = api.runtime()] {
        callers::JournalRefusals(limits->refused_calls(), runtime);
      }));
  auto server =
      std::unique_ptr<Server>(new Server(options, api, streams, store, std::move(overview)));
  auto listener = Listener::Bind(options.listen_address, LimitsOf(options));
  if (!listener.ok()) {
    return absl::UnavailableError(
        absl::StrCat("--listen ", options.listen_address,
                     ": the address is in use or not this machine's (", listener.status().message(),
                     "); stop the other program or choose another port (0: any free one)"));
  }
  server->listener_ = *std::move(listener);
  const size_t colon = options.listen_address.rfind(':');
  server->address_ = absl::StrCat(options.listen_address.substr(0, colon), ":", server->port());
  server->access_.set_address(server->address_);
  WATTLE_RETURN_IF_ERROR(server->Serve(options));
  return server;
}

absl::Status Server::Serve(const ServerOptions& options) {
  grpc::ServerBuilder builder;
  PermitKeepalive(builder);
  if (options.authority != nullptr) {
    LimitConnections(options.handshake_patience, builder);
  }
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<MessageCounter>(gate_));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  using Way = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  const std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor =
      builder.experimental().AddExternalConnectionAcceptor(Way::FROM_FD, Credentials(options));
  if (!options.local_socket.empty()) {
    const auto local = grpc::experimental::LocalServerCredentials(UDS);
    local->SetAuthMetadataProcessor(gate_);
    builder.AddListeningPort(absl::StrCat("unix:", options.local_socket), local);
  }
  for (const std::unique_ptr<grpc::Service>& service : services_) {
    builder.RegisterService(service.get());
  }
  builder.RegisterService(&access_);
  builder.RegisterService(&fleet_);
  builder.RegisterService(&peers_);
  builder.RegisterService(&artifacts_);
  builder.RegisterService(&coordinator_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat(options.local_socket,
                     ": the server does not start there; --data-dir wants a path of at most 90 "
                     "bytes on a local disk"));
  }
  listener_->Serve([acceptor](int socket) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = socket;
    acceptor->HandleNewConnection(&connection);
  });
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> Server::Credentials(const ServerOptions& options) const {
  if (options.authority == nullptr) {
    return grpc::InsecureServerCredentials();
  }
  const auto credentials =
      tls::ServerCredentials(options.authority->server_files(),
                             [authority = options.authority] { return authority->roots_pem(); });
  credentials->SetAuthMetadataProcessor(gate_);
  return credentials;
}

Server::~Server() {
  Stop();
  limits_->refused_calls().SetTell(nullptr);
}

void Server::Stop() {
  if (server_ == nullptr) {
    return;
  }
  listener_->Stop();
  if (server_->GetHealthCheckService() != nullptr) {
    server_->GetHealthCheckService()->SetServingStatus(false);
  }
  overview_->Stop();
  streams_.CloseAll("the coordinator stops; reconnect later");
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kStopPatience));
  server_->Wait();
  server_.reset();
  callers::JournalRefusals(limits_->refused_calls(), runtime_, absl::ZeroDuration());
}

}  // namespace wattle::rpc
