// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/gate.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <grpc/grpc_security_constants.h>

#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "coordinator/rpc/peer.h"

namespace wattle::rpc {
namespace {

std::string Property(const grpc::AuthContext& context, const char* name) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(name);
  return values.empty() ? "" : std::string(values[0].data(), values[0].size());
}

std::string CertificateOf(const grpc::AuthContext& context) {
  return Property(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
}

bool IsLocal(const grpc::AuthContext& context) {
  return Property(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME) == "local";
}

}  // namespace

// The handshake has checked the signature of the fleet's authority.
absl::StatusOr<Caller> Gate::CallerOf(const grpc::AuthContext& context) const {
  if (plaintext_) {
    return callers::Callers::Anybody();
  }
  if (IsLocal(context)) {
    return callers::Callers::Local();
  }
  const std::string pem = CertificateOf(context);
  if (pem.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("no certificate was shown, and this call wants one; ", callers::kHowToEnter));
  }
  return callers_.OfCertificate(pem);
}

v1::EventCaller Gate::EventCallerOf(const grpc::ServerContextBase& context) const {
  std::string address = PeerHost(context.peer());
  absl::StatusOr<Caller> caller = CallerOf(*context.auth_context());
  return (caller.ok() ? *caller : callers::Callers::Anybody()).At(std::move(address));
}

absl::Status Gate::Admit(const grpc::AuthContext& context, absl::string_view method) const {
  if (!moved_to_.empty() && method != kConnect) {
    return absl::FailedPreconditionError(absl::StrCat("this coordinator has moved to ", moved_to_,
                                                      "; ask there: --coordinator ", moved_to_));
  }
  if (!plaintext_ && access::DecideMethod({}, method).ok()) {
    return absl::OkStatus();  // For strangers.
  }
  const absl::StatusOr<Caller> caller = CallerOf(context);
  if (!caller.ok()) {
    // gRPC tells the gate no address: strangers are counted as one. By a revoked certificate
    // nobody uses up the calls of whoever has its name now.
    return callers_.CountRefused(
        callers_.ShownBy(CertificateOf(context), "callers without a certificate"), caller.status());
  }
  return callers_.Admit(*caller, method);
}

grpc::Status Gate::Process(const InputMetadata& metadata, grpc::AuthContext* context,
                           OutputMetadata*, OutputMetadata*) {
  const auto path = metadata.find(":path");
  if (path == metadata.end()) {
    return {grpc::StatusCode::PERMISSION_DENIED, "a call without a method"};
  }
  const absl::string_view method(path->second.data(), path->second.size());
  const absl::Status may = Admit(*context, method);
  if (!may.ok() && moved_to_.empty()) {
    const absl::StatusOr<Caller> caller = CallerOf(*context);
    callers_.NoteRefusal(
        caller.ok() ? caller->counted() : callers_.ShownBy(CertificateOf(*context), ""), method,
        may);
  }
  return ToGrpc(may);
}

absl::StatusOr<Caller> Gate::Check(const grpc::AuthContext& context, absl::string_view method,
                                   const access::Resource& resource) const {
  WATTLE_ASSIGN_OR_RETURN(Caller caller, CallerOf(context));
  if (const absl::Status may = access::Decide(caller.identity, method, resource); !may.ok()) {
    callers_.NoteRefusal(caller.counted(), method, may);
    return may;
  }
  return caller;
}

absl::StatusOr<core::Scope> Gate::ScopeOf(const grpc::AuthContext& context,
                                          absl::string_view method) const {
  WATTLE_ASSIGN_OR_RETURN(const Caller caller, CallerOf(context));
  return callers::ScopeOf(caller, method);
}

absl::StatusOr<callers::CallLimits::Stream> Gate::OpenStream(
    const grpc::AuthContext& context) const {
  return OpenStream(context, nullptr);
}

absl::StatusOr<callers::CallLimits::Stream> Gate::OpenStream(
    const grpc::ServerContext& context) const {
  return OpenStream(*context.auth_context(), [&context] { context.TryCancel(); });
}

absl::StatusOr<callers::CallLimits::Stream> Gate::OpenStream(const grpc::AuthContext& context,
                                                             std::function<void()> cancel) const {
  WATTLE_ASSIGN_OR_RETURN(const Caller caller, CallerOf(context));
  const std::string counted = caller.counted();
  if (counted.empty()) {
    return callers::CallLimits::Stream();
  }
  WATTLE_ASSIGN_OR_RETURN(callers::CallLimits::Stream stream,
                          callers_.limits().OpenStream(counted, std::move(cancel)));
  // A revocation that came meanwhile has not seen the stream.
  WATTLE_RETURN_IF_ERROR(CallerOf(context).status());
  return stream;
}

void Gate::NoteMessage(const grpc::ServerContextBase& context, int64_t bytes) const {
  if (bytes <= callers::kMessageBytesOfACall) {
    return;  // As almost all: who calls need not be known.
  }
  const absl::StatusOr<Caller> caller = CallerOf(*context.auth_context());
  callers_.NoteMessage(
      caller.ok() ? caller->counted() : callers::StrangerAt(PeerHost(context.peer())), bytes);
}

absl::Status Gate::TakeStrangersCall(const std::string& peer, Monotonic now) const {
  return plaintext_ ? absl::OkStatus()
                    : callers_.limits().TakeCall(callers::StrangerAt(PeerHost(peer)), now);
}

void Gate::NoteRefusedStranger(const std::string& peer, absl::string_view method,
                               const absl::Status& why) const {
  callers_.NoteRefusal(callers::StrangerAt(PeerHost(peer)), method, why);
}

}  // namespace wattle::rpc
