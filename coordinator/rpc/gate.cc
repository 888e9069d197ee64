// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/gate.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <grpc/grpc_security_constants.h>

#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "coordinator/core/enrolment.h"

namespace wattle::rpc {
namespace {

constexpr char kConnect[] = "/wattle.v1.FleetService/Connect";
constexpr char kRenew[] = "/wattle.v1.AccessService/Renew";
// A device that was offline for so long after its certificate expired still renews it.
constexpr absl::Duration kRenewAfterExpiry = absl::Hours(400 * 24);
// The certificate was made by this coordinator; its clock may have been set back since.
constexpr absl::Duration kClockSkew = absl::Hours(24);
constexpr size_t kKnownMax = 20'000;
constexpr char kWhoGives[] = "an admin gives roles with 'wattle person token NAME --role ROLE'";
constexpr char kHowToEnter[] =
    "enrol a board with 'wattle-worker enroll TOKEN', log in with 'wattle login TOKEN'";

std::string Property(const grpc::AuthContext& context, const char* name) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(name);
  return values.empty() ? "" : std::string(values[0].data(), values[0].size());
}

bool IsLocal(const grpc::AuthContext& context) {
  return Property(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME) == "local";
}

access::Identity WithRoles(std::string id, std::set<access::Role> roles) {
  return {.id = std::move(id),
          .roles = std::move(roles),
          .projects = {kDefaultProject},
          .how_to_get_a_role = kWhoGives};
}

Caller Anybody() {
  return {.identity = WithRoles("", {access::Role::kAdmin, access::Role::kWorker}),
          .kind = kAnybody};
}

std::string Text(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<tls::CertificateFacts> Gate::FactsOf(absl::string_view pem) const {
  const std::string text(pem);
  {
    absl::MutexLock lock(&mutex_);
    if (const auto known = known_.find(text); known != known_.end()) {
      return known->second;
    }
  }
  WATTLE_ASSIGN_OR_RETURN(tls::CertificateFacts facts, tls::ReadCertificate(pem));
  absl::MutexLock lock(&mutex_);
  if (known_.size() >= kKnownMax) {
    known_.clear();
  }
  known_[text] = facts;
  return facts;
}

// The handshake has checked the signature of the fleet's authority.
absl::StatusOr<Caller> Gate::CallerOf(const grpc::AuthContext& context) const {
  if (fleet_.empty()) {
    return Anybody();
  }
  if (IsLocal(context)) {
    return Caller{.identity = WithRoles("local", {access::Role::kAdmin}), .kind = "local"};
  }
  const std::string pem = Property(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("no certificate was shown, and this call wants one; ", kHowToEnter));
  }
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, FactsOf(pem));
  const std::string prefix = absl::StrCat("spiffe://", fleet_, "/");
  const std::string uri = facts.uris.size() == 1 ? facts.uris[0] : "";
  const std::vector<std::string> parts =
      absl::StartsWith(uri, prefix)
          ? std::vector<std::string>(absl::StrSplit(uri.substr(prefix.size()), '/'))
          : std::vector<std::string>();
  if (parts.size() != 2 || (parts[0] != core::kDeviceKind && parts[0] != core::kPersonKind)) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate names nobody of this fleet; ", kHowToEnter));
  }
  const std::string who = absl::StrCat(parts[0], " ", parts[1]);
  const std::optional<v1::IdentityRecord> record =
      runtime_.Read([&](const core::State& state) -> std::optional<v1::IdentityRecord> {
        const v1::IdentityRecord* const found = core::FindIdentity(state, parts[0], parts[1]);
        return found == nullptr ? std::nullopt : std::optional<v1::IdentityRecord>(*found);
      });
  if (record.has_value() && record->revoked()) {
    return absl::PermissionDeniedError(
        absl::StrCat(who, " was revoked", record->revoked_reason().empty() ? "" : ": ",
                     record->revoked_reason(), "; an operator lets it in again by a new token"));
  }
  if (record.has_value() && record->public_key_sha256() != facts.public_key_sha256) {
    return absl::PermissionDeniedError(absl::StrCat(
        who, " has enrolled with another key since; enrol or log in here again by a new token"));
  }
  Caller caller = {.identity = WithRoles(parts[1], {}),
                   .kind = parts[0],
                   .uri = uri,
                   .public_key_sha256 = facts.public_key_sha256,
                   .not_after = facts.not_after};
  if (caller.kind == core::kDeviceKind) {
    caller.identity.roles.insert(access::Role::kWorker);
  } else if (const auto role = access::ParseRole(record.has_value() ? record->role() : "")) {
    caller.identity.roles.insert(*role);
  }
  if (facts.not_before > runtime_.Now().wall + kClockSkew) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate of ", who, " begins at ", Text(facts.not_before),
                     ", and the coordinator's clock says ", Text(runtime_.Now().wall),
                     "; set the coordinator's clock"));
  }
  return caller;
}

absl::Status Gate::Admit(const grpc::AuthContext& context, absl::string_view method) const {
  if (!moved_to_.empty() && method != kConnect) {
    return absl::FailedPreconditionError(absl::StrCat("this coordinator has moved to ", moved_to_,
                                                      "; ask there: --coordinator ", moved_to_));
  }
  if (!fleet_.empty() && access::DecideMethod({}, method).ok()) {
    return absl::OkStatus();  // For strangers.
  }
  WATTLE_ASSIGN_OR_RETURN(const Caller caller, CallerOf(context));
  const absl::Time now = runtime_.Now().wall;
  if (caller.not_after < now) {
    const bool may_renew = caller.not_after + kRenewAfterExpiry > now;
    if (method != kRenew || !may_renew) {
      return absl::UnauthenticatedError(absl::StrCat(
          "the certificate of ", caller.kind, " ", caller.identity.id, " expired at ",
          Text(caller.not_after), "; ",
          may_renew ? "it may be renewed, and only that" : "enrol again by a new token"));
    }
  }
  return access::DecideMethod(caller.identity, method);
}

grpc::Status Gate::Process(const InputMetadata& metadata, grpc::AuthContext* context,
                           OutputMetadata*, OutputMetadata*) {
  const auto path = metadata.find(":path");
  if (path == metadata.end()) {
    return {grpc::StatusCode::PERMISSION_DENIED, "a call without a method"};
  }
  return ToGrpc(Admit(*context, {path->second.data(), path->second.size()}));
}

absl::StatusOr<Caller> Gate::Check(const grpc::AuthContext& context, absl::string_view method,
                                   const access::Resource& resource) const {
  WATTLE_ASSIGN_OR_RETURN(Caller caller, CallerOf(context));
  WATTLE_RETURN_IF_ERROR(access::Decide(caller.identity, method, resource));
  return caller;
}

}  // namespace wattle::rpc
