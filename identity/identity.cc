// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "identity/identity.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/credentials.h"
#include "base/tls/private_file.h"
#include "base/tls/tpm_key.h"

namespace wattle::identity {
namespace {

std::string PathIn(const std::string& folder, absl::string_view name) {
  return absl::StrCat(folder, "/", name);
}

// "spiffe://FLEET/device/ID" → "spiffe://FLEET/coordinator".
std::string CoordinatorUri(const std::string& uri) {
  const std::string kind = uri.substr(0, uri.rfind('/'));
  return absl::StrCat(kind.substr(0, kind.rfind('/')), "/coordinator");
}

// Whether the certificate of the folder has another issuer than the coordinator's.
bool HasOtherIssuer(const std::string& folder, const tls::CertificateFacts& coordinator) {
  const absl::StatusOr<std::string> certificate = ReadWholeFile(PathIn(folder, "certificate.pem"));
  if (!certificate.ok()) {
    return false;
  }
  const absl::StatusOr<tls::CertificateFacts> own = tls::ReadCertificate(*certificate);
  return own.ok() && own->issuer_key_id != coordinator.issuer_key_id;
}

}  // namespace

absl::StatusOr<Identity> Load(const std::string& folder) {
  Identity identity;
  identity.folder = folder;
  WATTLE_ASSIGN_OR_RETURN(const std::string certificate,
                          ReadWholeFile(PathIn(folder, "certificate.pem")));
  WATTLE_ASSIGN_OR_RETURN(const std::string key, tls::ReadPrivateFile(PathIn(folder, "key.pem")));
  WATTLE_ASSIGN_OR_RETURN(identity.roots_pem, ReadWholeFile(PathIn(folder, "roots.pem")));
  WATTLE_ASSIGN_OR_RETURN(const std::string coordinator,
                          ReadWholeFile(PathIn(folder, "coordinator")));
  identity.coordinator = std::string(absl::StripAsciiWhitespace(coordinator));
  const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(certificate);
  WATTLE_RETURN_IF_ERROR(WithContext(PathIn(folder, "certificate.pem"), facts.status()));
  const absl::StatusOr<std::string> public_key = tls::PublicKeyOf(key);
  WATTLE_RETURN_IF_ERROR(WithContext(PathIn(folder, "key.pem"), public_key.status()));
  WATTLE_ASSIGN_OR_RETURN(const std::string digest, tls::PublicKeySha256(*public_key));
  if (digest != facts->public_key_sha256 || facts->uris.size() != 1) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder,
        ": the certificate is not of the key beside it; remove the folder and enrol again"));
  }
  identity.uri = facts->uris[0];
  identity.not_before = facts->not_before;
  identity.not_after = facts->not_after;
  identity.renewal_asked = ReadWholeFile(PathIn(folder, "renew")).ok();
  return identity;
}

absl::StatusOr<std::string> UriIn(const std::string& folder) {
  const std::string path = PathIn(folder, "certificate.pem");
  WATTLE_ASSIGN_OR_RETURN(const std::string certificate, ReadWholeFile(path));
  const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(certificate);
  WATTLE_RETURN_IF_ERROR(WithContext(path, facts.status()));
  return facts->uris.empty() ? std::string() : facts->uris[0];
}

tls::CertificateFiles FilesOf(const Identity& identity) {
  return {PathIn(identity.folder, "key.pem"), PathIn(identity.folder, "certificate.pem")};
}

tls::RootsSource RootsOf(const Identity& identity) {
  return [path = PathIn(identity.folder, "roots.pem"), known = identity.roots_pem] {
    return ReadWholeFile(path).value_or(known);
  };
}

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const Identity& identity,
                                                        const Clock& clock,
                                                        HandshakeCallbacks callbacks) {
  return tls::ChannelCredentials(
      FilesOf(identity),
      {.roots = RootsOf(identity),
       .uri = CoordinatorUri(identity.uri),
       .now = [&clock, floor = identity.not_before] { return std::max(clock.Now(), floor); },
       .on_accepted =
           [folder = identity.folder,
            told = std::move(callbacks.on_other_issuer)](const tls::CertificateFacts& coordinator) {
             if (HasOtherIssuer(folder, coordinator)) {
               // Where it cannot be written, the half of the certificate's life ends the wait.
               (void)tls::WritePrivateFile(PathIn(folder, "renew"), "");
               told();
             }
           },
       .on_refused = std::move(callbacks.on_refused)});
}

absl::StatusOr<std::string> SigningRequestOf(const std::string& folder, KeyPlace place) {
  WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(folder));
  absl::StatusOr<std::string> key = tls::ReadPrivateFile(PathIn(folder, "key.pem"));
  if (absl::IsNotFound(key.status())) {
    key = place == KeyPlace::kTpm ? tls::NewTpmKey() : tls::NewKey();
    WATTLE_RETURN_IF_ERROR(key.status());
    WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(PathIn(folder, "key.pem"), *key));
  }
  WATTLE_RETURN_IF_ERROR(key.status());
  if (place == KeyPlace::kTpm && !tls::IsTpmKey(*key)) {
    return absl::FailedPreconditionError(absl::StrCat(
        PathIn(folder, "key.pem"),
        ": this board has a key in a file; remove the folder, and enrol with a key in the TPM"));
  }
  absl::StatusOr<std::string> request = ReadWholeFile(PathIn(folder, "request.pem"));
  if (absl::IsNotFound(request.status())) {
    WATTLE_ASSIGN_OR_RETURN(request, tls::NewSigningRequest(*key));
    WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(PathIn(folder, "request.pem"), *request));
  }
  return request;
}

absl::Status Keep(const std::string& folder, const v1::IdentityCertificate& answer,
                  const std::string& coordinator) {
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(PathIn(folder, "roots.pem"), answer.roots_pem()));
  WATTLE_RETURN_IF_ERROR(
      tls::WritePrivateFile(PathIn(folder, "coordinator"), absl::StrCat(coordinator, "\n")));
  WATTLE_RETURN_IF_ERROR(
      tls::WritePrivateFile(PathIn(folder, "certificate.pem"), answer.certificate_pem()));
  std::error_code error;
  std::filesystem::remove(PathIn(folder, "renew"), error);
  return absl::OkStatus();
}

}  // namespace wattle::identity
