// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/access_service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "artifacts/transfer/grpc_status.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"
#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/lineage.h"
#include "coordinator/rpc/moved_to.h"
#include "coordinator/runtime/unknown_fields.h"
#include "policy/given_labels.h"

namespace wattle::rpc {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr double kTtlSecondsMin = 60;
constexpr double kTtlSecondsMax = 30 * 24 * 3600.0;
constexpr double kServiceTtlSecondsMax = 366 * 24 * 3600.0;
constexpr int kCountMax = 1000;
constexpr int kUsesMax = 10'000;
constexpr int kLabelsMax = 50;

absl::Status CheckRange(absl::string_view field, double value, double least, double most) {
  return value >= least && value <= most
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrFormat("%s: %.15g, wanted %.15g to %.15g", field, value, least, most));
}

// A token must name an address that others can dial.
absl::Status CheckAddress(const std::string& address) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort("address", address);
  WATTLE_RETURN_IF_ERROR(parsed.status());
  if (parsed->host == "0.0.0.0" || parsed->host == "::" || parsed->port == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "address: ", address,
        ": nobody can dial it; name the address by which boards reach this coordinator: "
        "--address HOST:PORT"));
  }
  return absl::OkStatus();
}

absl::Status CheckLabels(const google::protobuf::RepeatedPtrField<v1::Label>& labels) {
  if (labels.size() > kLabelsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("labels: ", labels.size(), " entries, at most ", kLabelsMax));
  }
  std::vector<std::pair<std::string, std::string>> given;
  for (const v1::Label& label : labels) {
    WATTLE_RETURN_IF_ERROR(core::CheckId("label", label.key()));
    WATTLE_RETURN_IF_ERROR(core::ValidateText("label", label.value()));
    given.emplace_back(label.key(), label.value());
  }
  return policy::CheckGivenLabels("label", given);
}

// What a list tells of an identity: neither certificate nor hashes.
v1::IdentityRecord Shown(const v1::IdentityRecord& record) {
  v1::IdentityRecord shown = record;
  shown.clear_certificate_pem();
  shown.clear_signing_request_sha256();
  shown.clear_public_key_sha256();
  return shown;
}

// A token by which somebody may still enrol. A service's token is listed past its end too, because
// its end explains why a scraper is refused.
bool IsListed(const v1::EnrolmentToken& token, absl::Time now) {
  return !token.revoked() &&
         (token.kind() == core::kServiceKind ||
          (token.used() < token.uses() && core::FromUnix(token.expires_unix_seconds()) > now));
}

}  // namespace

absl::Status AccessService::RequireAuthority() const {
  return authority_ != nullptr
             ? absl::OkStatus()
             : absl::FailedPreconditionError(
                   "this coordinator runs with --plaintext-loopback: nobody enrols or logs in");
}

std::string AccessService::NameOf(const grpc::ServerContext& context) const {
  const absl::StatusOr<Caller> caller = gate_.CallerOf(context);
  return caller.ok() ? caller->identity.id : "";
}

runtime::Answer AccessService::PostFor(const grpc::ServerContext& context, core::Command command) {
  return runtime_.PostAndWait(std::move(command), kPatience, gate_.EventCallerOf(context));
}

absl::Status AccessService::Answer(const std::string& certificate_pem, const std::string& kind,
                                   const std::string& id, v1::IdentityCertificate* response) const {
  response->set_certificate_pem(certificate_pem);
  response->set_roots_pem(authority_->roots_pem());
  response->set_identity(authority_->UriOf(kind, id));
  return absl::OkStatus();
}

absl::StatusOr<v1::IdentityCertificate> AccessService::Enroll(const std::string& host,
                                                              const v1::EnrollRequest& request) {
  v1::IdentityCertificate response;
  const auto enroll = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(gate_.TakeStrangersCall(host, runtime_.Now().monotonic));
    WATTLE_RETURN_IF_ERROR(RequireAuthority());
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(request));
    core::ShownToken shown = {.token_id = request.token_id(),
                              .secret_sha256 = tls::Sha256(request.secret()),
                              .signing_request_sha256 = tls::Sha256(request.signing_request_pem()),
                              .device_id = request.device_id()};
    // Whoever has no token costs no signature.
    WATTLE_ASSIGN_OR_RETURN(const v1::EnrolmentToken token,
                            runtime_.Read([&](const core::State& state) {
                              return core::CheckToken(state, shown, runtime_.Now().wall);
                            }));
    WATTLE_RETURN_IF_ERROR(core::CheckTaker(token, shown.device_id));
    WATTLE_ASSIGN_OR_RETURN(const tls::SigningRequest signing,
                            tls::ReadSigningRequest(request.signing_request_pem()));
    const std::string id = token.person().empty() ? shown.device_id : token.person();
    WATTLE_RETURN_IF_ERROR(core::CheckId("device_id", id));
    WATTLE_ASSIGN_OR_RETURN(const std::string certificate,
                            authority_->SignClient(signing, token.kind(), id));
    core::Enrol command;
    command.secret_sha256 = shown.secret_sha256;
    command.identity.set_id(id);
    command.identity.set_token_id(shown.token_id);
    command.identity.set_signing_request_sha256(shown.signing_request_sha256);
    command.identity.set_public_key_sha256(signing.public_key_sha256);
    command.identity.set_certificate_pem(certificate);
    WATTLE_ASSIGN_OR_RETURN(const SignedUnder under, SignedUnderOf(certificate));
    command.identity.set_root_sha256(under.root_sha256);
    command.identity.set_not_after_unix_seconds(core::ToUnix(under.not_after));
    const runtime::Answer answer = runtime_.PostAndWait(
        std::move(command), kPatience,
        Caller{.identity = callers::IdentityOf(id, {}), .kind = token.kind()}.At(host));
    WATTLE_RETURN_IF_ERROR(answer.status);
    WATTLE_RETURN_IF_ERROR(KeepEnrolled(token, id));
    const std::string stored = runtime_.Read([&](const core::State& state) {
      const v1::IdentityRecord* const found = core::FindIdentity(state, token.kind(), id);
      return found == nullptr ? std::string() : found->certificate_pem();
    });
    return Answer(stored, token.kind(), id, &response);
  };
  const absl::Status done = enroll();
  if (!done.ok()) {
    gate_.NoteRefusedStranger(host, kEnrollMethod, done);
    return done;
  }
  return response;
}

absl::StatusOr<AccessService::SignedUnder> AccessService::SignedUnderOf(
    const std::string& certificate) const {
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, tls::ReadCertificate(certificate));
  return SignedUnder{authority_->RootOf(certificate), facts.not_after};
}

// The new certificate has the name and the key of the one that was shown, which may have expired.
grpc::Status AccessService::Renew(grpc::ServerContext* context, const v1::RenewRequest* request,
                                  v1::IdentityCertificate* response) {
  const auto renew = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(RequireAuthority());
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Caller caller, gate_.CallerOf(*context));
    if (caller.uri.empty()) {
      return absl::FailedPreconditionError("renewal: no certificate was shown");
    }
    WATTLE_ASSIGN_OR_RETURN(const tls::SigningRequest signing,
                            tls::ReadSigningRequest(request->signing_request_pem()));
    if (signing.public_key_sha256 != caller.public_key_sha256) {
      return absl::PermissionDeniedError(
          "renewal: the request has another key than the certificate; a new key wants a new token");
    }
    WATTLE_ASSIGN_OR_RETURN(
        const std::string certificate,
        authority_->SignClient(signing, caller.kind, caller.identity.id,
                               core::KeptUntil(caller.validity, runtime_.Now().wall)));
    WATTLE_ASSIGN_OR_RETURN(const SignedUnder under, SignedUnderOf(certificate));
    WATTLE_RETURN_IF_ERROR(
        PostFor(*context, core::RenewIdentity{caller.kind, caller.identity.id, under.root_sha256,
                                              under.not_after})
            .status);
    return Answer(certificate, caller.kind, caller.identity.id, response);
  };
  return ToGrpc(renew());
}

grpc::Status AccessService::WhoAmI(grpc::ServerContext* context, const v1::WhoAmIRequest* request,
                                   v1::WhoAmIResponse* response) {
  const auto tell = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Caller caller, gate_.CallerOf(*context));
    response->set_identity(caller.uri);
    response->set_kind(caller.kind);
    response->set_id(caller.identity.id);
    for (const access::Role role : caller.identity.roles) {
      response->add_roles(std::string(access::RoleName(role)));
    }
    if (caller.kind == core::kPersonKind) {
      for (const std::string& project : caller.identity.projects) {
        response->add_projects(project);
      }
    }
    if (caller.validity.ends != absl::InfiniteFuture()) {
      response->set_not_after_unix_seconds(core::ToUnix(caller.validity.ends));
    }
    response->set_coordinator_address(address_);
    runtime_.Read([&](const core::State& state) {
      context->AddTrailingMetadata(kLineageMetadata, state.lineage_id);
      context->AddTrailingMetadata(kEpochMetadata, absl::StrCat(core::EpochOf(state)));
    });
    return absl::OkStatus();
  };
  return ToGrpc(tell());
}

absl::Status AccessService::MakeTokens(const grpc::ServerContext& context, const TokenOrder& order,
                                       v1::CreateTokensResponse* response) {
  const auto& [like, count, ttl_seconds, address] = order;
  WATTLE_RETURN_IF_ERROR(RequireAuthority());
  const bool of_service = like.kind() == core::kServiceKind;
  WATTLE_RETURN_IF_ERROR(CheckRange("ttl_seconds", ttl_seconds, kTtlSecondsMin,
                                    of_service ? kServiceTtlSecondsMax : kTtlSecondsMax));
  if (!of_service) {
    WATTLE_RETURN_IF_ERROR(CheckAddress(address));
  }
  core::CreateTokens command;
  for (int i = 0; i < count; ++i) {
    v1::EnrolmentToken token = like;
    WATTLE_ASSIGN_OR_RETURN(const std::string id, tls::RandomHex(tls::kTokenIdBytes));
    WATTLE_ASSIGN_OR_RETURN(const std::string secret, tls::RandomHex(tls::kTokenSecretBytes));
    token.set_token_id(id);
    token.set_secret_sha256(tls::Sha256(secret));
    token.set_expires_unix_seconds(core::ToUnix(runtime_.Now().wall) + ttl_seconds);
    v1::CreatedToken& created = *response->add_tokens();
    created.set_token_id(id);
    created.set_token(of_service ? tls::FormatServiceToken({id, secret})
                                 : tls::FormatToken({address, id, secret, authority_->pin()}));
    created.set_expires_unix_seconds(token.expires_unix_seconds());
    command.tokens.push_back(std::move(token));
  }
  return PostFor(context, std::move(command)).status;
}

grpc::Status AccessService::CreateDeviceTokens(grpc::ServerContext* context,
                                               const v1::CreateDeviceTokensRequest* request,
                                               v1::CreateTokensResponse* response) {
  const auto create = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_RETURN_IF_ERROR(CheckRange("count", request->count(), 1, kCountMax));
    WATTLE_RETURN_IF_ERROR(CheckRange("uses", request->uses(), 1, kUsesMax));
    WATTLE_RETURN_IF_ERROR(CheckLabels(request->labels()));
    v1::EnrolmentToken token;
    token.set_kind(core::kDeviceKind);
    token.set_uses(request->uses());
    token.set_approve(request->approve());
    token.set_created_by(NameOf(*context));
    *token.mutable_labels() = request->labels();
    return MakeTokens(*context,
                      {token, request->count(), request->ttl_seconds(),
                       request->address().empty() ? address_ : request->address()},
                      response);
  };
  return ToGrpc(create());
}

grpc::Status AccessService::CreatePersonToken(grpc::ServerContext* context,
                                              const v1::CreatePersonTokenRequest* request,
                                              v1::CreateTokensResponse* response) {
  const auto create = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_RETURN_IF_ERROR(core::CheckId("person", request->person()));
    const std::optional<access::Role> role = access::ParseRole(request->role());
    if (!role.has_value() || *role == access::Role::kWorker || *role == access::Role::kService ||
        *role == access::Role::kUnapproved) {
      return absl::InvalidArgumentError(absl::StrCat(
          "role: \"", request->role(), "\", wanted viewer, submitter, operator or admin"));
    }
    v1::EnrolmentToken token;
    token.set_kind(core::kPersonKind);
    token.set_person(request->person());
    token.set_role(request->role());
    const std::set<std::string> projects(request->projects().begin(), request->projects().end());
    token.mutable_projects()->Assign(projects.begin(), projects.end());
    token.set_uses(1);
    token.set_created_by(NameOf(*context));
    return MakeTokens(*context,
                      {token, 1, request->ttl_seconds(),
                       request->address().empty() ? address_ : request->address()},
                      response);
  };
  return ToGrpc(create());
}

grpc::Status AccessService::CreateServiceToken(grpc::ServerContext* context,
                                               const v1::CreateServiceTokenRequest* request,
                                               v1::CreateTokensResponse* response) {
  const auto create = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_RETURN_IF_ERROR(core::CheckId("service", request->service()));
    v1::EnrolmentToken token;
    token.set_kind(core::kServiceKind);
    token.set_person(request->service());
    token.set_created_by(NameOf(*context));
    return MakeTokens(*context, {token, 1, request->ttl_seconds(), ""}, response);
  };
  return ToGrpc(create());
}

grpc::Status AccessService::RevokeToken(grpc::ServerContext* context,
                                        const v1::RevokeTokenRequest* request,
                                        v1::RevokeTokenResponse*) {
  const auto revoke = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Caller caller, gate_.CallerOf(*context));
    const bool by_admin = caller.identity.roles.contains(access::Role::kAdmin);
    const absl::Status revoked =
        PostFor(*context, core::RevokeToken{request->token_id(), caller.identity.id, by_admin})
            .status;
    // A repeated call keeps what an earlier one could not.
    if (revoked.ok() || absl::IsAlreadyExists(revoked)) {
      WATTLE_RETURN_IF_ERROR(
          KeepDone(core::kTokenKind, request->token_id(), "is revoked", "revoke it again"));
    }
    return revoked;
  };
  return ToGrpc(revoke());
}

grpc::Status AccessService::ApproveDevice(grpc::ServerContext* context,
                                          const v1::ApproveDeviceRequest* request,
                                          v1::ApproveDeviceResponse* response) {
  const auto approve = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const DeviceId device, runtime_.Read([&](const core::State& state) {
      return core::ResolveEnrolled(state, request->device());
    }));
    WATTLE_RETURN_IF_ERROR(PostFor(*context, core::ApproveDevice{device, NameOf(*context)}).status);
    WATTLE_RETURN_IF_ERROR(
        KeepDone(core::kDeviceKind, device.value(), "is approved", "approve again"));
    response->set_device_id(device.value());
    response->set_name(runtime_.Read([&](const core::State& state) {
      const v1::DeviceRecord* const record = core::FindDevice(state, device);
      return record == nullptr ? std::string() : record->info().name();
    }));
    return absl::OkStatus();
  };
  return ToGrpc(approve());
}

absl::Status AccessService::KeepDone(const std::string& kind, const std::string& id,
                                     absl::string_view done, absl::string_view again) const {
  const absl::Status kept = keep_ ? keep_(kind, id) : absl::OkStatus();
  return kept.ok() ? kept
                   : absl::Status(kept.code(), absl::StrCat(kind, " ", id, " ", done,
                                                            ", but a restore would forget it: ",
                                                            kept.message(), "; then ", again));
}

void AccessService::EndStreams(const std::string& kind, const std::string& id) const {
  const std::string who = absl::StrCat(kind, " ", id);
  gate_.limits().EndStreams(who, absl::PermissionDeniedError(absl::StrCat(who, " was revoked")));
}

absl::Status AccessService::KeepEnrolled(const v1::EnrolmentToken& token,
                                         const std::string& id) const {
  constexpr char kAgain[] = "repeat the same command";
  if (token.approve()) {
    WATTLE_RETURN_IF_ERROR(KeepDone(token.kind(), id, "waits for approval", kAgain));
  }
  return KeepDone(core::kTokenKind, token.token_id(), "was used", kAgain);
}

absl::StatusOr<std::set<int64_t>> AccessService::JobsEndedOn(const DeviceId& device,
                                                             double since_unix_seconds) const {
  auto archived = runtime_.history().JobsEndedOn(device, since_unix_seconds);
  if (!archived.ok()) {
    return absl::Status(archived.status().code(),
                        absl::StrCat("device ", device.value(),
                                     " is revoked, but the jobs that ended on it are not known: ",
                                     archived.status().message(), "; then revoke again"));
  }
  return runtime_.Read([&](const core::State& state) {
    std::set<int64_t> numbers(archived->begin(), archived->end());
    for (const auto& [number, record] : state.jobs) {
      const auto& attempts = record.job().attempts();
      if (std::any_of(attempts.begin(), attempts.end(), [&](const v1::Attempt& attempt) {
            return attempt.device_id() == device.value() && IsTerminal(attempt.state()) &&
                   attempt.finished_unix_seconds() >= since_unix_seconds;
          })) {
        numbers.insert(number);
      }
    }
    return numbers;
  });
}

grpc::Status AccessService::RevokeDevice(grpc::ServerContext* context,
                                         const v1::RevokeDeviceRequest* request,
                                         v1::RevokeDeviceResponse* response) {
  const auto revoke = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const DeviceId device, runtime_.Read([&](const core::State& state) {
      return core::ResolveEnrolled(state, request->device());
    }));
    const runtime::Answer answer =
        PostFor(*context, core::RevokeIdentity{core::kDeviceKind, device.value(), request->reason(),
                                               NameOf(*context),
                                               core::FromUnix(request->since_unix_seconds())});
    WATTLE_RETURN_IF_ERROR(answer.status);
    // The gate refuses its next stream; this one ends here.
    streams_.CloseDevice(device, "this device was revoked");
    EndStreams(core::kDeviceKind, device.value());
    WATTLE_RETURN_IF_ERROR(
        KeepDone(core::kDeviceKind, device.value(), "is revoked", "revoke again"));
    response->set_device_id(device.value());
    runtime_.Read([&](const core::State& state) {
      if (const v1::DeviceRecord* const record = core::FindDevice(state, device)) {
        response->set_name(record->info().name());
      }
      return 0;
    });
    WATTLE_ASSIGN_OR_RETURN(const std::set<int64_t> jobs,
                            JobsEndedOn(device, request->since_unix_seconds()));
    for (const int64_t number : jobs) {
      response->add_job_ids(absl::StrCat("j", number));
    }
    return absl::OkStatus();
  };
  return ToGrpc(revoke());
}

grpc::Status AccessService::RevokePerson(grpc::ServerContext* context,
                                         const v1::RevokePersonRequest* request,
                                         v1::RevokePersonResponse*) {
  const auto revoke = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_RETURN_IF_ERROR(
        PostFor(*context, core::RevokeIdentity{core::kPersonKind, request->person(),
                                               request->reason(), NameOf(*context)})
            .status);
    EndStreams(core::kPersonKind, request->person());
    return KeepDone(core::kPersonKind, request->person(), "is revoked", "revoke again");
  };
  return ToGrpc(revoke());
}

grpc::Status AccessService::ListIdentities(grpc::ServerContext*,
                                           const v1::ListIdentitiesRequest* request,
                                           v1::ListIdentitiesResponse* response) {
  if (const absl::Status known = runtime::RefuseUnknownFields(*request); !known.ok()) {
    return ToGrpc(known);
  }
  const std::shared_ptr<const core::State> state = runtime_.Version();
  for (const auto& [key, record] : state->identities) {
    *response->add_identities() = Shown(record);
  }
  for (const auto& [id, token] : state->tokens) {
    if (IsListed(token, runtime_.Now().wall)) {
      v1::EnrolmentToken& listed = *response->add_tokens();
      listed = token;
      listed.clear_secret_sha256();
    }
  }
  return grpc::Status::OK;
}

grpc::Status AccessService::GetAuthority(grpc::ServerContext*,
                                         const v1::GetAuthorityRequest* request,
                                         v1::GetAuthorityResponse* response) {
  const auto tell = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(RequireAuthority());
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    *response = rotation_->Describe();
    return absl::OkStatus();
  };
  return ToGrpc(tell());
}

grpc::Status AccessService::RotateAuthority(grpc::ServerContext* context,
                                            const v1::RotateAuthorityRequest* request,
                                            v1::GetAuthorityResponse* response) {
  const auto rotate = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(RequireAuthority());
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(*response,
                            rotation_->Rotate(NameOf(*context), gate_.EventCallerOf(*context)));
    return absl::OkStatus();
  };
  return ToGrpc(rotate());
}

grpc::Status AccessService::RetireAuthority(grpc::ServerContext* context,
                                            const v1::RetireAuthorityRequest* request,
                                            v1::GetAuthorityResponse* response) {
  const auto retire = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(RequireAuthority());
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(
        *response, rotation_->Retire(*request, NameOf(*context), gate_.EventCallerOf(*context)));
    return absl::OkStatus();
  };
  return ToGrpc(retire());
}

}  // namespace wattle::rpc
