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
#include "base/tls_terminator/tls_terminator.h"
#include "coordinator/access/access_table.h"
#include "coordinator/callers/callers.h"
#include "coordinator/log/log.h"
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
// Threads that end TLS before gRPC.
constexpr int kTerminatorThreads = 2;
// A connection has one to its client, and two to gRPC.
constexpr rlim_t kFilesOfAConnection = 3;
// File descriptors that connections leave for the HTTP port, the journal and the artifacts; a
// quarter of them if the process has few.
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

// 0: no limit.
int ConnectionsMost() {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT_MAX) {
    return 0;
  }
  return static_cast<int>((files.rlim_cur - std::min(kFilesForOthers, files.rlim_cur / 4)) /
                          kFilesOfAConnection);
}

absl::Status CannotListen(const ServerOptions& options, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat(
      "--listen ", options.listen_address, ": the address is in use or not this machine's (", why,
      "); stop the other program or choose another port (0: any free one)"));
}

absl::StatusOr<std::unique_ptr<TlsTerminator>> Bind(const ServerOptions& options) {
  if (options.authority == nullptr) {
    return nullptr;
  }
  auto bound =
      TlsTerminator::Bind("--listen", options.listen_address, options.authority->server_files(),
                          [authority = options.authority] { return authority->roots_pem(); },
                          {.connections = ConnectionsMost(),
                           .connections_per_address = options.connections_per_address,
                           .connections_per_identity = options.connections_per_address,
                           .handshake_patience = options.handshake_patience,
                           .threads = kTerminatorThreads});
  return absl::IsUnavailable(bound.status()) ? CannotListen(options, bound.status().message())
                                             : std::move(bound);
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
               artifacts::BlobStore& store, std::unique_ptr<runtime::Overview> overview,
               std::unique_ptr<TlsTerminator> terminator)
    : runtime_(api.runtime()),
      streams_(streams),
      overview_(std::move(overview)),
      terminator_(std::move(terminator)),
      gate_(std::make_shared<Gate>(api.runtime(),
                                   options.authority == nullptr ? "" : options.authority->fleet(),
                                   terminator_ == nullptr ? nullptr : &terminator_->peers(),
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
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<TlsTerminator> terminator, Bind(options));
  std::unique_ptr<Server> server(
      new Server(options, api, streams, store, std::move(overview), std::move(terminator)));
  WATTLE_RETURN_IF_ERROR(server->Serve(options));
  return server;
}

absl::Status Server::Serve(const ServerOptions& options) {
  grpc::ServerBuilder builder;
  PermitKeepalive(builder);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<MessageCounter>(gate_));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  int port = 0;
  if (terminator_ != nullptr) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsOfAConnection);
    const auto credentials = grpc::experimental::LocalServerCredentials(UDS);
    credentials->SetAuthMetadataProcessor(Gate::ProcessorOf(gate_, Gate::Way::kTerminator));
    using Way = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
    acceptor = builder.experimental().AddExternalConnectionAcceptor(Way::FROM_FD, credentials);
    port = terminator_->port();
  } else {
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort(options.listen_address, grpc::InsecureServerCredentials(), &port);
  }
  if (!options.local_socket.empty()) {
    const auto local = grpc::experimental::LocalServerCredentials(UDS);
    local->SetAuthMetadataProcessor(Gate::ProcessorOf(gate_, Gate::Way::kLocalSocket));
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
  if (server_ == nullptr && terminator_ == nullptr) {
    return CannotListen(options, "gRPC does not start");
  }
  if (server_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat(options.local_socket,
                     ": the server does not start there; --data-dir wants a path of at most 90 "
                     "bytes on a local disk"));
  }
  address_ =
      absl::StrCat(options.listen_address.substr(0, options.listen_address.rfind(':')), ":", port);
  access_.set_address(address_);
  if (terminator_ == nullptr) {
    return absl::OkStatus();
  }
  enrolment_ = std::make_unique<EnrolmentServer>(access_);
  return terminator_->Serve(CallbacksFor(std::move(acceptor)));
}

TlsTerminator::Callbacks Server::CallbacksFor(
    std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor) {
  return {
      .on_http2 =
          [acceptor = std::move(acceptor)](int socket) {
            grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
            connection.fd = socket;
            acceptor->HandleNewConnection(&connection);
          },
      .on_http1 =
          [this](int socket, std::unique_ptr<tls::ServerSession> session) {
            enrolment_->Take(socket, std::move(session));
          },
      .on_refused =
          [this](const std::string& share, const std::string& why) {
            limits_->NoteRefusedConnection();
            LogWarning(absl::StrCat("--listen: a connection from ", share, " was closed: ", why,
                                    "; where as many boards are ours raise ",
                                    "--connections-per-address, or LimitNOFILE of the service"));
          },
      .on_stranger =
          [](const std::string& share) {
            LogWarning(absl::StrCat("--listen: a program at ", share,
                                    " speaks gRPC and shows no certificate; if it is ours, it is ",
                                    "too old to enrol here: update it, then ",
                                    callers::kHowToEnter));
          },
      .on_breach =
          [this](const Peer& peer, const absl::Status& why) {
            const std::string who = gate_->NoteBreach(peer, why, runtime_.Now().monotonic);
            LogWarning(absl::StrCat("--listen: a connection of ", who, " at ", peer.host,
                                    " was closed: ", why.message()));
          },
      .on_problem =
          [](const std::string& why) {
            LogWarning(absl::StrCat("--listen: a connection waits: ", why,
                                    "; raise LimitNOFILE of the coordinator's service"));
          }};
}

Server::~Server() {
  Stop();
  limits_->refused_calls().SetTell(nullptr);
}

void Server::Stop() {
  if (server_ == nullptr) {
    return;
  }
  if (terminator_ != nullptr) {
    terminator_->StopAccepting();
  }
  if (server_->GetHealthCheckService() != nullptr) {
    server_->GetHealthCheckService()->SetServingStatus(false);
  }
  overview_->Stop();
  streams_.CloseAll("the coordinator stops; reconnect later");
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kStopPatience));
  server_->Wait();
  terminator_.reset();
  enrolment_.reset();
  server_.reset();
  callers::JournalRefusals(limits_->refused_calls(), runtime_, absl::ZeroDuration());
}

}  // namespace wattle::rpc
