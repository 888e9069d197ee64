// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The one gate of the gRPC port. It sees the method and the caller's certificate before any
// handler does, also for health, reflection and methods that do not exist, and asks
// coordinator/callers. Where the resource counts, the handler asks again with it. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_GATE_H_
#define WATTLE_COORDINATOR_RPC_GATE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_context.h>

#include "coordinator/access/access_table.h"
#include "coordinator/callers/callers.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::rpc {

using callers::Caller;
using callers::kAnybody;

// Of a worker's stream.
inline constexpr char kConnect[] = "/wattle.v1.FleetService/Connect";

class Gate final : public grpc::AuthMetadataProcessor {
 public:
  // runtime: must outlive the server. fleet: the name in its certificates; empty: plaintext, every
  // caller may do everything.
  // moved_to: where this coordinator is now; every call but a worker's stream, which is sent there,
  // is refused with that address. Empty: here.
  Gate(const runtime::Runtime& runtime, std::string fleet,
       std::shared_ptr<callers::CallLimits> limits, std::string moved_to)
      : plaintext_(fleet.empty()),
        callers_(runtime, std::move(fleet), std::move(limits)),
        moved_to_(std::move(moved_to)) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* consumed, OutputMetadata* response) override;

  // Who calls, without a look at the method. Errors: kUnauthenticated without a certificate, or for
  // one that is of no member of this fleet; kPermissionDenied for a revoked identity.
  absl::StatusOr<Caller> CallerOf(const grpc::AuthContext& context) const;
  // For the events of the caller's commands.
  [[nodiscard]] v1::EventCaller EventCallerOf(const grpc::ServerContextBase& context) const;
  [[nodiscard]] const std::string& moved_to() const { return moved_to_; }
  // For a handler that knows the resource. Errors: as CallerOf and access::Decide.
  absl::StatusOr<Caller> Check(const grpc::AuthContext& context, absl::string_view method,
                               const access::Resource& resource) const;

  // Of which projects the caller may call the method. Errors: as CallerOf.
  absl::StatusOr<core::Scope> ScopeOf(const grpc::AuthContext& context,
                                      absl::string_view method) const;

  // Before a stream begins. Errors: as CallerOf; kResourceExhausted.
  absl::StatusOr<callers::CallLimits::Stream> OpenStream(const grpc::AuthContext& context) const;
  // Of a handler with a thread of its own, which may wait for its client: is cancelled if the
  // caller is revoked meanwhile.
  absl::StatusOr<callers::CallLimits::Stream> OpenStream(const grpc::ServerContext& context) const;
  [[nodiscard]] callers::CallLimits& limits() const { return callers_.limits(); }
  // A request came, or an answer goes: counts for who calls, or the stranger's address.
  void NoteMessage(const grpc::ServerContextBase& context, int64_t bytes) const;
  // Before a stranger's call is answered. peer: of the call's context. Errors: kResourceExhausted.
  absl::Status TakeStrangersCall(const std::string& peer, Monotonic now) const;
  // For the audit: a handler refused the stranger.
  void NoteRefusedStranger(const std::string& peer, absl::string_view method,
                           const absl::Status& why) const;

 private:
  absl::StatusOr<callers::CallLimits::Stream> OpenStream(const grpc::AuthContext& context,
                                                         std::function<void()> cancel) const;
  absl::Status Admit(const grpc::AuthContext& context, absl::string_view method) const;

  const bool plaintext_;
  const callers::Callers callers_;
  const std::string moved_to_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_GATE_H_
