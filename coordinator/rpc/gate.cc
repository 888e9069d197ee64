// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/gate.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "coordinator/rpc/peer.h"

namespace wattle::rpc {
namespace {

class Processor final : public grpc::AuthMetadataProcessor {
 public:
  Processor(std::shared_ptr<const Gate> gate, Gate::Way way) : gate_(std::move(gate)), way_(way) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext*, OutputMetadata*,
                       OutputMetadata*) override {
    return ToGrpc(gate_->Process(way_, metadata));
  }

 private:
  const std::shared_ptr<const Gate> gate_;
  const Gate::Way way_;
};

}  // namespace

std::shared_ptr<grpc::AuthMetadataProcessor> Gate::ProcessorOf(std::shared_ptr<const Gate> gate,
                                                               Way way) {
  return std::make_shared<Processor>(std::move(gate), way);
}

std::string Gate::CertificateIn(const Metadata& metadata) const {
  const std::shared_ptr<const Peer> peer = PeerOf(metadata);
  return peer == nullptr ? "" : peer->certificate_pem;
}

std::shared_ptr<const Peer> Gate::PeerOf(const Metadata& metadata) const {
  const auto field = metadata.find(kConnectionField);
  return field == metadata.end() || peers_ == nullptr
             ? nullptr
             : peers_->Find(std::string(field->second.data(), field->second.size()));
}

absl::StatusOr<Caller> Gate::CallerOf(const Metadata& metadata) const {
  if (peers_ == nullptr) {
    return callers::Callers::Anybody();
  }
  // Process has seen to it that the connection of whoever came over the terminator is named.
  if (metadata.find(kConnectionField) == metadata.end()) {
    return callers::Callers::Local();
  }
  const std::shared_ptr<const Peer> peer = PeerOf(metadata);
  return peer == nullptr ? absl::UnauthenticatedError("the connection of this call has ended")
                         : callers_.OfCertificate(peer->certificate_pem);
}

absl::StatusOr<Caller> Gate::CallerOf(const grpc::ServerContextBase& context) const {
  return CallerOf(context.client_metadata());
}

std::string Gate::HostOf(const grpc::ServerContextBase& context) const {
  const std::shared_ptr<const Peer> peer = PeerOf(context.client_metadata());
  return peer == nullptr ? PeerHost(context.peer()) : peer->host;
}

v1::EventCaller Gate::EventCallerOf(const grpc::ServerContextBase& context) const {
  const absl::StatusOr<Caller> caller = CallerOf(context);
  return (caller.ok() ? *caller : callers::Callers::Anybody()).At(HostOf(context));
}

absl::Status Gate::Admit(const Metadata& metadata, absl::string_view method) const {
  if (!moved_to_.empty() && method != kConnect) {
    return absl::FailedPreconditionError(absl::StrCat("this coordinator has moved to ", moved_to_,
                                                      "; ask there: --coordinator ", moved_to_));
  }
  const absl::StatusOr<Caller> caller = CallerOf(metadata);
  if (!caller.ok()) {
    // By a revoked certificate nobody uses up the calls of whoever has its name now.
    return callers_.CountRefused(callers_.ShownBy(CertificateIn(metadata), ""), caller.status());
  }
  return callers_.Admit(*caller, method);
}

absl::Status Gate::Process(Way way, const Metadata& metadata) const {
  const auto path = metadata.find(":path");
  if (path == metadata.end()) {
    return absl::PermissionDeniedError("a call without a method");
  }
  const size_t names = metadata.count(kConnectionField);
  const bool named = names == 1 && PeerOf(metadata) != nullptr;
  if (way == Way::kTerminator ? !named : names != 0) {
    return absl::UnauthenticatedError(
        absl::StrCat("the metadata ", kConnectionField, " is the coordinator's own"));
  }
  const absl::string_view method(path->second.data(), path->second.size());
  absl::Status may = Admit(metadata, method);
  if (!may.ok() && moved_to_.empty()) {
    const absl::StatusOr<Caller> caller = CallerOf(metadata);
    callers_.NoteRefusal(
        caller.ok() ? caller->counted() : callers_.ShownBy(CertificateIn(metadata), ""), method,
        may);
  }
  return may;
}

std::string Gate::NoteBreach(const Peer& peer, const absl::Status& why, Monotonic now) const {
  const absl::StatusOr<Caller> caller = callers_.OfCertificate(peer.certificate_pem);
  std::string who =
      caller.ok() ? caller->counted() : callers_.ShownBy(peer.certificate_pem, peer.host);
  limits().NoteBrokenConnection();
  limits().refused_calls().Note(who, "a connection", why.message(), now);
  return who;
}

absl::StatusOr<Caller> Gate::Check(const grpc::ServerContextBase& context, absl::string_view method,
                                   const access::Resource& resource) const {
  WATTLE_ASSIGN_OR_RETURN(Caller caller, CallerOf(context));
  if (const absl::Status may = access::Decide(caller.identity, method, resource); !may.ok()) {
    callers_.NoteRefusal(caller.counted(), method, may);
    return may;
  }
  return caller;
}

absl::StatusOr<core::Scope> Gate::ScopeOf(const grpc::ServerContextBase& context,
                                          absl::string_view method) const {
  WATTLE_ASSIGN_OR_RETURN(const Caller caller, CallerOf(context));
  return callers::ScopeOf(caller, method);
}

absl::StatusOr<callers::CallLimits::Stream> Gate::OpenStream(
    const grpc::ServerContextBase& context) const {
  return OpenStream(context, nullptr);
}

absl::StatusOr<callers::CallLimits::Stream> Gate::OpenStream(
    const grpc::ServerContext& context) const {
  return OpenStream(context, [&context] { context.TryCancel(); });
}

absl::StatusOr<callers::CallLimits::Stream> Gate::OpenStream(const grpc::ServerContextBase& context,
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
    return;  // Almost every message is small, and needs no search for its caller.
  }
  const absl::StatusOr<Caller> caller = CallerOf(context);
  callers_.NoteMessage(caller.ok() ? caller->counted() : callers::StrangerAt(HostOf(context)),
                       bytes);
}

absl::Status Gate::TakeStrangersCall(const std::string& host, Monotonic now) const {
  return peers_ == nullptr ? absl::OkStatus()
                           : callers_.limits().TakeCall(callers::StrangerAt(host), now);
}

void Gate::NoteRefusedStranger(const std::string& host, absl::string_view method,
                               const absl::Status& why) const {
  callers_.NoteRefusal(callers::StrangerAt(host), method, why);
}

}  // namespace wattle::rpc
