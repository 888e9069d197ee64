// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "identity/enroll.h"

#include <chrono>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/credentials.h"
#include "base/tls/https_exchange.h"
#include "base/tls/token.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::identity {
namespace {

constexpr std::chrono::seconds kAnswersWithin(30);

std::unique_ptr<v1::AccessService::Stub> Dial(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection with these credentials.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return v1::AccessService::NewStub(grpc::CreateCustomChannel(address, credentials, arguments));
}

absl::Status Explain(const std::string& address, const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::DeadlineExceededError(
        absl::StrCat("coordinator ", address, ": no answer within ", kAnswersWithin.count(), " s"));
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    return absl::UnavailableError(
        absl::StrCat("coordinator ", address, ": ", ConnectionTrouble(status.error_message())));
  }
  return FromGrpc(status);
}

// The answer must be for this key, and signed by the root that the caller trusts.
absl::Status CheckAnswer(const v1::IdentityCertificate& answer, const std::string& request_pem,
                         const std::string& root_pem) {
  WATTLE_RETURN_IF_ERROR(tls::VerifyChain(answer.certificate_pem(), root_pem, tls::Use::kClient));
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts,
                          tls::ReadCertificate(answer.certificate_pem()));
  WATTLE_ASSIGN_OR_RETURN(const tls::SigningRequest request, tls::ReadSigningRequest(request_pem));
  return facts.public_key_sha256 == request.public_key_sha256
             ? absl::OkStatus()
             : absl::InternalError("the coordinator's certificate is for another key");
}

}  // namespace

// The secret waits for the handshake, which judges the pin.
absl::StatusOr<v1::IdentityCertificate> AskToEnroll(const tls::Token& token,
                                                    const v1::EnrollRequest& request) {
  const std::string where = absl::StrCat("coordinator ", token.address);
  absl::Status distrust;
  const absl::StatusOr<tls::HttpsAnswer> answer =
      tls::Exchange({.address = token.address,
                     .path = kEnrollPath,
                     .content_type = kEnrollContentType,
                     .body = request.SerializeAsString(),
                     .patience = absl::FromChrono(kAnswersWithin)},
                    [&](const std::string& chain) {
                      distrust = tls::CheckPinnedServer(token.pin, chain);
                      return distrust;
                    });
  if (!distrust.ok()) {
    return absl::UnavailableError(
        absl::StrCat(where, ": what answers there is not trusted: ", distrust.message()));
  }
  if (absl::IsUnimplemented(answer.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        where, ": it is older than this program and lets nobody in this way; update it first, or ",
        "enrol with a program of its release"));
  }
  if (!answer.ok()) {
    return absl::Status(answer.status().code(),
                        absl::StrCat(where, ": ", answer.status().message(), "; start it, or ask ",
                                     "for a token whose --address this machine can reach"));
  }
  v1::IdentityCertificate certificate;
  if (answer->status != 200) {
    return absl::Status(static_cast<absl::StatusCode>(answer->code == 0 ? 2 : answer->code),
                        answer->body);
  }
  if (!certificate.ParseFromString(answer->body)) {
    return absl::InternalError(absl::StrCat(where, ": its answer is no certificate"));
  }
  return certificate;
}

absl::StatusOr<Identity> Enroll(const std::string& folder, const std::string& token_text,
                                const std::string& device_id, KeyPlace place) {
  WATTLE_ASSIGN_OR_RETURN(const tls::Token token, tls::ParseToken(token_text));
  v1::EnrollRequest request;
  WATTLE_ASSIGN_OR_RETURN(const std::string signing_request, SigningRequestOf(folder, place));
  request.set_signing_request_pem(signing_request);
  request.set_token_id(token.id);
  request.set_secret(token.secret);
  request.set_device_id(device_id);
  WATTLE_ASSIGN_OR_RETURN(const v1::IdentityCertificate answer, AskToEnroll(token, request));
  WATTLE_ASSIGN_OR_RETURN(const std::string root, tls::PinnedRoot(answer.roots_pem(), token.pin));
  WATTLE_RETURN_IF_ERROR(CheckAnswer(answer, signing_request, root));
  WATTLE_RETURN_IF_ERROR(Keep(folder, answer, token.address));
  return Load(folder);
}

bool RenewalIsDue(const Identity& identity, absl::Time now) {
  return identity.renewal_asked ||
         now > identity.not_before + (identity.not_after - identity.not_before) / 2;
}

absl::StatusOr<Identity> Renew(const Identity& identity, const std::string& coordinator,
                               const Clock& clock) {
  v1::RenewRequest request;
  WATTLE_ASSIGN_OR_RETURN(const std::string signing_request, SigningRequestOf(identity.folder));
  request.set_signing_request_pem(signing_request);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kAnswersWithin);
  v1::IdentityCertificate answer;
  const grpc::Status status =
      Dial(coordinator, CredentialsOf(identity, clock))->Renew(&context, request, &answer);
  if (!status.ok()) {
    return Explain(coordinator, status);
  }
  WATTLE_RETURN_IF_ERROR(CheckAnswer(answer, signing_request, identity.roots_pem));
  WATTLE_RETURN_IF_ERROR(Keep(identity.folder, answer, identity.coordinator));
  return Load(identity.folder);
}

}  // namespace wattle::identity
