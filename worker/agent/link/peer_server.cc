// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/peer_server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "artifacts/cached_artifact.h"
#include "artifacts/manifest.h"
#include "artifacts/transfer/grpc_status.h"
#include "base/host_port.h"
#include "base/own_addresses.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls_terminator/tls_terminator.h"

namespace wattle::agent {
namespace {

// As many as the coordinator sends here at once, and those that come back meanwhile.
constexpr int kStreamsMax = 6;
constexpr int kChunksPerCallMax = 64;
constexpr int kRequestBytesMax = 16 << 10;
constexpr size_t kPermitsMax = 256;
constexpr int kThreadsMax = 12;
constexpr int kConnectionsMax = 64;
constexpr int kConnectionsOfABoardMax = 4;
constexpr absl::Duration kServeLook = absl::Milliseconds(100);
constexpr absl::Duration kPeersStopPatience = absl::Seconds(1);
constexpr size_t kAddressesMax = 8;  // the coordinator's limit

bool IsEveryInterface(const std::string& host) {
  return host == "0.0.0.0" || host == "::";
}

// The addresses of this machine that other machines may reach.
std::vector<std::string> AddressesForOthers() {
  std::vector<std::string> addresses = OwnAddresses();
  std::erase_if(addresses, [](const std::string& one) { return IsLoopback({one, 1}); });
  return addresses;
}

absl::Status ServesNotNow() {
  return absl::UnavailableError("this board serves nobody now; ask another one");
}

}  // namespace

absl::StatusOr<std::string> PeerListenAddress(const std::string& flag) {
  const bool is_port = flag.find(':') == std::string::npos;
  WATTLE_ASSIGN_OR_RETURN(
      const HostPort address,
      ParseHostPort("--peer-listen", is_port ? absl::StrCat("[::]:", flag) : flag));
  if (!IsIpAddress(address.host)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--peer-listen ", flag, ": wanted PORT or IP:PORT"));
  }
  return FormatHostPort(address);
}

absl::StatusOr<std::unique_ptr<PeerServer>> PeerServer::Start(Options options) {
  std::unique_ptr<PeerServer> server(new PeerServer(std::move(options)));
  grpc::ServerBuilder builder;
  grpc::ResourceQuota quota("peers");
  quota.SetMaxThreads(kThreadsMax);
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 2);
  builder.SetMaxReceiveMessageSize(kRequestBytesMax);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  using Way = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  const std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor =
      builder.experimental().AddExternalConnectionAcceptor(Way::FROM_FD,
                                                           grpc::InsecureServerCredentials());
  builder.RegisterService(server.get());
  auto terminator = TlsTerminator::Bind("--peer-listen", server->options_.listen,
                                        identity::FilesOf(server->options_.identity),
                                        identity::RootsOf(server->options_.identity),
                                        {.connections = kConnectionsMax,
                                         .connections_per_identity = kConnectionsOfABoardMax,
                                         .threads = 1});
  server->server_ = builder.BuildAndStart();
  if (!terminator.ok() || server->server_ == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--peer-listen ", server->options_.listen,
        ": the address is in use or not this machine's (", terminator.status().message(),
        "); stop the other program or choose another port (0: any free one)"));
  }
  server->terminator_ = *std::move(terminator);
  WATTLE_RETURN_IF_ERROR(server->terminator_->Serve({.on_http2 = [acceptor](int socket) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = socket;
    acceptor->HandleNewConnection(&connection);
  }}));
  return server;
}

PeerServer::~PeerServer() {
  serves_ = false;
  if (terminator_ != nullptr) {
    terminator_->StopAccepting();
  }
  if (server_ != nullptr) {
    server_->Shutdown(absl::ToChronoTime(absl::Now() + kPeersStopPatience));
    server_->Wait();
  }
  terminator_.reset();  // Before the server, to which it gives connections.
}

std::vector<std::string> PeerServer::addresses() const {
  const absl::StatusOr<HostPort> listen = ParseHostPort("--peer-listen", options_.listen);
  const std::string host = listen.ok() ? listen->host : "";
  std::vector<std::string> hosts =
      IsEveryInterface(host) ? AddressesForOthers() : std::vector<std::string>{host};
  hosts.resize(std::min(hosts.size(), kAddressesMax));
  for (std::string& one : hosts) {
    one = FormatHostPort({one, terminator_->port()});
  }
  return hosts;
}

// The handshake has checked that the certificate leads to the fleet's root.
absl::StatusOr<PeerServer::Caller> PeerServer::CallerOf(const grpc::ServerContext& context) const {
  const auto& metadata = context.client_metadata();
  const auto field = metadata.find(kConnectionField);
  const std::shared_ptr<const Peer> peer =
      metadata.count(kConnectionField) != 1
          ? nullptr
          : terminator_->peers().Find(std::string(field->second.data(), field->second.size()));
  if (peer == nullptr) {
    return absl::UnauthenticatedError(
        absl::StrCat("the metadata ", kConnectionField, " is this board's own"));
  }
  const std::string& pem = peer->certificate_pem;
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, tls::ReadCertificate(pem));
  const std::string& own = options_.identity.uri;  // "spiffe://FLEET/device/ID"
  const absl::string_view boards = absl::string_view(own).substr(0, own.rfind('/') + 1);
  absl::string_view id = facts.uris.size() == 1 ? absl::string_view(facts.uris[0]) : "";
  if (!absl::ConsumePrefix(&id, boards) || id.empty()) {
    return absl::PermissionDeniedError("the certificate is of no board of this fleet");
  }
  const absl::Time now = std::max(Clock::Real().Now(), options_.identity.not_before);
  WATTLE_RETURN_IF_ERROR(tls::CheckExpiry(pem, now));
  return Caller{std::string(id), facts.public_key_sha256};
}

absl::Status PeerServer::CheckPermit(const Caller& caller, const std::string& artifact_id) {
  const Permit permit(caller.device_id, caller.public_key_sha256, artifact_id);
  {
    absl::MutexLock lock(&mutex_);
    const Monotonic now = Clock::Real().Boottime();
    std::erase_if(permits_, [&](const auto& one) { return one.second < now; });
    if (permits_.contains(permit)) {
      return absl::OkStatus();
    }
  }
  v1::CheckPeerRequest request;
  request.set_device_id(caller.device_id);
  request.set_public_key_sha256(caller.public_key_sha256);
  request.set_artifact_id(artifact_id);
  WATTLE_ASSIGN_OR_RETURN(const absl::Duration valid, options_.check(request));
  absl::MutexLock lock(&mutex_);
  if (permits_.size() < kPermitsMax) {
    permits_[permit] = Clock::Real().Boottime() + valid;
  }
  return absl::OkStatus();
}

absl::Status PeerServer::AwaitLine(size_t bytes, const grpc::ServerContext& context) {
  Monotonic begins;
  {
    absl::MutexLock lock(&mutex_);
    begins = std::max(line_free_, Clock::Real().Boottime());
    line_free_ = begins + absl::Seconds(static_cast<double>(bytes) / options_.bytes_per_second);
  }
  while (true) {
    if (!serves_) {
      return ServesNotNow();
    }
    if (context.IsCancelled()) {
      return absl::CancelledError("the board went away");
    }
    const absl::Duration ahead = begins - Clock::Real().Boottime();
    if (ahead <= absl::ZeroDuration()) {
      return absl::OkStatus();
    }
    absl::SleepFor(std::min(ahead, kServeLook));
  }
}

absl::Status PeerServer::Send(const v1::PeerChunksRequest& request, grpc::ServerContext& context,
                              grpc::ServerWriter<v1::Chunk>& writer) {
  if (!serves_) {
    return ServesNotNow();
  }
  if (request.sha256_size() > kChunksPerCallMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("sha256: ", request.sha256_size(), ", wanted at most ", kChunksPerCallMax));
  }
  WATTLE_ASSIGN_OR_RETURN(const Caller caller, CallerOf(context));
  WATTLE_RETURN_IF_ERROR(CheckPermit(caller, request.artifact_id()));
  WATTLE_ASSIGN_OR_RETURN(
      const artifacts::CachedArtifact artifact,
      artifacts::CachedArtifact::Open(options_.cache_directory, ArtifactId(request.artifact_id())));
  for (const std::string& digest : request.sha256()) {
    absl::StatusOr<std::string> bytes = artifact.ReadChunk(artifacts::ChunkId(digest));
    // Damage of this card is no attack, so the asking board gets another code.
    if (absl::IsDataLoss(bytes.status())) {
      return absl::UnavailableError(bytes.status().message());
    }
    WATTLE_RETURN_IF_ERROR(bytes.status());
    WATTLE_RETURN_IF_ERROR(AwaitLine(bytes->size(), context));
    const auto size_bytes = static_cast<int64_t>(bytes->size());
    v1::Chunk chunk;
    chunk.set_sha256(digest);
    chunk.set_data(*std::move(bytes));
    if (!writer.Write(chunk)) {
      return absl::CancelledError("the board went away");
    }
    served_bytes_ += size_bytes;
  }
  return absl::OkStatus();
}

grpc::Status PeerServer::GetChunks(grpc::ServerContext* context,
                                   const v1::PeerChunksRequest* request,
                                   grpc::ServerWriter<v1::Chunk>* writer) {
  if (++streams_ > kStreamsMax) {
    --streams_;
    return ToGrpc(absl::ResourceExhaustedError("this board serves enough others; ask again"));
  }
  const absl::Status sent = Send(*request, *context, *writer);
  --streams_;
  return ToGrpc(sent);
}

}  // namespace wattle::agent
