// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The one gate of the gRPC port. It sees the method and the caller's certificate before any
// handler does, also for health, reflection and methods that do not exist. It judges time,
// revocation and role, and tells a refused caller why and who can help. Where the resource counts,
// the handler asks again with it. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_GATE_H_
#define WATTLE_COORDINATOR_RPC_GATE_H_

#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/auth_metadata_processor.h>

#include "base/tls/certificate.h"
#include "coordinator/access/access_table.h"
#include "coordinator/runtime/runtime.h"

namespace wattle::rpc {

// Everything is of this project until there is a second one.
inline constexpr char kDefaultProject[] = "default";

// A caller of a plaintext port, of whom nothing is proved.
inline constexpr char kAnybody[] = "anybody";

// Who calls, as the connection proves.
struct Caller {
  access::Identity identity = {};
  std::string kind = {};  // "device", "person", "local" (a user of this machine), or kAnybody.
  std::string uri = {};   // Of the certificate. So are the rest; empty without one.
  std::string public_key_sha256 = {};  // Raw.
  absl::Time not_after = absl::InfiniteFuture();
};

class Gate final : public grpc::AuthMetadataProcessor {
 public:
  // runtime: must outlive the server. fleet: the name in its certificates; empty: plaintext, every
  // caller may do everything.
  // moved_to: where this coordinator is now; every call but a worker's stream, which is sent there,
  // is refused with that address. Empty: here.
  Gate(const runtime::Runtime& runtime, std::string fleet, std::string moved_to)
      : runtime_(runtime), fleet_(std::move(fleet)), moved_to_(std::move(moved_to)) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* consumed, OutputMetadata* response) override;

  // Who calls, without a look at the method. Errors: kUnauthenticated without a certificate, or for
  // one that is of no member of this fleet; kPermissionDenied for a revoked identity.
  absl::StatusOr<Caller> CallerOf(const grpc::AuthContext& context) const;
  [[nodiscard]] const std::string& moved_to() const { return moved_to_; }
  // For a handler that knows the resource. Errors: as CallerOf and access::Decide.
  absl::StatusOr<Caller> Check(const grpc::AuthContext& context, absl::string_view method,
                               const access::Resource& resource) const;

 private:
  absl::Status Admit(const grpc::AuthContext& context, absl::string_view method) const;
  absl::StatusOr<tls::CertificateFacts> FactsOf(absl::string_view pem) const;

  const runtime::Runtime& runtime_;
  const std::string fleet_;
  const std::string moved_to_;
  mutable absl::Mutex mutex_;
  // What was read of the certificates of the latest connections, by their text.
  mutable std::unordered_map<std::string, tls::CertificateFacts> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_GATE_H_
