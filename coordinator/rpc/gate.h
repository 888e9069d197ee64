// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The one gate of gRPC sees the method and the caller's certificate before any handler does, also
// for health, reflection and methods that do not exist, and asks coordinator/callers. Where the
// resource counts, the handler asks again with it. Calls come over the TlsTerminator, which names
// their connection in kConnectionField, or over the socket of this machine's users, which lets
// nobody name one. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_GATE_H_
#define WATTLE_COORDINATOR_RPC_GATE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_context.h>

#include "base/tls_terminator/peer_table.h"
#include "coordinator/access/access_table.h"
#include "coordinator/callers/callers.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::rpc {

using callers::Caller;
using callers::kAnybody;

// The method of a worker's stream.
inline constexpr char kConnect[] = "/wattle.v1.FleetService/Connect";

class Gate {
 public:
  using Metadata = grpc::AuthMetadataProcessor::InputMetadata;

  // runtime, peers: must outlive the server. fleet: the name in its certificates. peers: of the
  // terminator; null: plaintext, every caller may do everything.
  // moved_to: where this coordinator is now; every call but a worker's stream, which is sent there,
  // is refused with that address. Empty: here.
  Gate(const runtime::Runtime& runtime, std::string fleet, const PeerTable* peers,
       std::shared_ptr<callers::CallLimits> limits, std::string moved_to)
      : peers_(peers),
        callers_(runtime, std::move(fleet), std::move(limits)),
        moved_to_(std::move(moved_to)) {}

  // How a call came in.
  enum class Way { kTerminator, kLocalSocket };
  // Whether the call may go on to its handler.
  absl::Status Process(Way way, const Metadata& metadata) const;
  // Calls Process for each call of the credentials that it is given to.
  static std::shared_ptr<grpc::AuthMetadataProcessor> ProcessorOf(std::shared_ptr<const Gate> gate,
                                                                  Way way);

  // Who calls, without a look at the method. Errors: kUnauthenticated for a certificate that is of
  // no member of this fleet; kPermissionDenied for a revoked identity.
  absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context) const;
  // The caller's numeric address; empty: a user of this machine, or it means nothing elsewhere.
  [[nodiscard]] std::string HostOf(const grpc::ServerContextBase& context) const;
  // For the events of the caller's commands.
  [[nodiscard]] v1::EventCaller EventCallerOf(const grpc::ServerContextBase& context) const;
  [[nodiscard]] const std::string& moved_to() const { return moved_to_; }
  // For a handler that knows the resource. Errors: as CallerOf and access::Decide.
  absl::StatusOr<Caller> Check(const grpc::ServerContextBase& context, absl::string_view method,
                               const access::Resource& resource) const;

  // The projects for which the caller may call the method. Errors: as CallerOf.
  absl::StatusOr<core::Scope> ScopeOf(const grpc::ServerContextBase& context,
                                      absl::string_view method) const;

  // Before a stream begins. Errors: as CallerOf; kResourceExhausted.
  absl::StatusOr<callers::CallLimits::Stream> OpenStream(
      const grpc::ServerContextBase& context) const;
  // For a handler with a thread of its own, which may wait for its client. The stream is cancelled
  // if the caller is revoked meanwhile.
  absl::StatusOr<callers::CallLimits::Stream> OpenStream(const grpc::ServerContext& context) const;
  [[nodiscard]] callers::CallLimits& limits() const { return callers_.limits(); }
  // A request came, or an answer goes: counts for who calls, or the stranger's address.
  void NoteMessage(const grpc::ServerContextBase& context, int64_t bytes) const;
  // Before a stranger's call is answered. host: a numeric address. Errors: kResourceExhausted.
  absl::Status TakeStrangersCall(const std::string& host, Monotonic now) const;
  // For the audit: a handler refused the stranger.
  void NoteRefusedStranger(const std::string& host, absl::string_view method,
                           const absl::Status& why) const;
  // For the audit: what the peer sent ended its connection. Returns who it is.
  std::string NoteBreach(const Peer& peer, const absl::Status& why, Monotonic now) const;

 private:
  absl::StatusOr<callers::CallLimits::Stream> OpenStream(const grpc::ServerContextBase& context,
                                                         std::function<void()> cancel) const;
  absl::StatusOr<Caller> CallerOf(const Metadata& metadata) const;
  // Null: no connection is named, or it has ended long ago.
  [[nodiscard]] std::shared_ptr<const Peer> PeerOf(const Metadata& metadata) const;
  // Empty: as PeerOf.
  [[nodiscard]] std::string CertificateIn(const Metadata& metadata) const;
  absl::Status Admit(const Metadata& metadata, absl::string_view method) const;

  const PeerTable* const peers_;
  const callers::Callers callers_;
  const std::string moved_to_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_GATE_H_
