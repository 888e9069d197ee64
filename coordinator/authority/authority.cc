// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/authority.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/private_file.h"

namespace wattle::authority {
namespace {

constexpr absl::Duration kYear = absl::Hours(24 * 365);
// Clocks of a fleet differ. A certificate is valid a little before it was made.
constexpr absl::Duration kBackdated = absl::Hours(1);

// Not the same: a second start by mistake, with fewer names, changes nothing.
bool HasAll(const std::vector<std::string>& names, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&names](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Authority>> Authority::Open(const std::string& directory,
                                                           const ServerNames& names,
                                                           const Clock& clock) {
  std::unique_ptr<Authority> authority(new Authority(directory, names, clock));
  WATTLE_RETURN_IF_ERROR(WithContext("the fleet's authority", authority->Load()));
  return authority;
}

absl::Status Authority::Load() {
  WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(directory_));
  const absl::Time now = clock_.Now();
  WATTLE_ASSIGN_OR_RETURN(issuer_key_pem_, LoadKey("issuer_key.pem"));
  WATTLE_ASSIGN_OR_RETURN(server_key_pem_, LoadKey("server_key.pem"));
  // With both certificates the root's key may be offline.
  const bool rooted =
      ReadWholeFile(Path("root.pem")).ok() && ReadWholeFile(Path("issuer.pem")).ok();
  std::string root_key_pem;
  tls::CertificateContent root = {.use = tls::Use::kRoot,
                                  .public_key_pem = "",
                                  .common_name = "Wattle fleet root",
                                  .not_before = now - kBackdated,
                                  .not_after = now + 30 * kYear};
  if (rooted) {
    WATTLE_ASSIGN_OR_RETURN(root_pem_, ReadWholeFile(Path("root.pem")));
  } else {
    WATTLE_ASSIGN_OR_RETURN(root_key_pem, LoadKey("root_key.pem"));
    WATTLE_ASSIGN_OR_RETURN(root.public_key_pem, tls::PublicKeyOf(root_key_pem));
    WATTLE_ASSIGN_OR_RETURN(root_pem_, LoadCertificate("root.pem", root, "", root_key_pem));
  }
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts root_facts, tls::ReadCertificate(root_pem_));
  pin_ = tls::ToHex(root_facts.public_key_sha256);
  tls::CertificateContent issuer = {.use = tls::Use::kIssuer,
                                    .public_key_pem = "",
                                    .common_name = "Wattle fleet issuer",
                                    .not_before = now - kBackdated,
                                    .not_after = now + 10 * kYear};
  WATTLE_ASSIGN_OR_RETURN(issuer.public_key_pem, tls::PublicKeyOf(issuer_key_pem_));
  WATTLE_ASSIGN_OR_RETURN(issuer_pem_,
                          LoadCertificate("issuer.pem", issuer, root_pem_, root_key_pem));
  return RenewServerCertificate();
}

std::string Authority::Path(absl::string_view name) const {
  return absl::StrCat(directory_, "/", name);
}

tls::CertificateFiles Authority::server_files() const {
  return {Path("server_key.pem"), Path("server.pem")};
}

absl::StatusOr<std::string> Authority::LoadKey(absl::string_view name) const {
  const std::string path = Path(name);
  absl::StatusOr<std::string> key = tls::ReadPrivateFile(path);
  if (key.ok() || !absl::IsNotFound(key.status())) {
    return key;
  }
  WATTLE_ASSIGN_OR_RETURN(key, tls::NewKey());
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(path, *key));
  return key;
}

absl::StatusOr<std::string> Authority::LoadCertificate(absl::string_view name,
                                                       const tls::CertificateContent& content,
                                                       absl::string_view issuer_pem,
                                                       absl::string_view issuer_key_pem) const {
  const std::string path = Path(name);
  absl::StatusOr<std::string> certificate = ReadWholeFile(path);
  if (absl::IsNotFound(certificate.status())) {
    WATTLE_ASSIGN_OR_RETURN(certificate, tls::SignCertificate(content, issuer_pem, issuer_key_pem));
    WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(path, *certificate));
    return certificate;
  }
  WATTLE_RETURN_IF_ERROR(certificate.status());
  const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(*certificate);
  WATTLE_RETURN_IF_ERROR(WithContext(path, facts.status()));
  WATTLE_ASSIGN_OR_RETURN(const std::string digest, tls::PublicKeySha256(content.public_key_pem));
  if (facts->public_key_sha256 != digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": is not the certificate of the key beside it; restore both from one backup"));
  }
  return certificate;
}

std::string Authority::UriOf(absl::string_view kind, absl::string_view id) const {
  return absl::StrCat("spiffe://", fleet(), "/", kind, "/", id);
}

absl::StatusOr<std::string> Authority::SignClient(const tls::SigningRequest& request,
                                                  absl::string_view kind,
                                                  absl::string_view id) const {
  const absl::Time now = clock_.Now();
  tls::CertificateContent content = {.use = tls::Use::kClient,
                                     .public_key_pem = request.public_key_pem,
                                     .common_name = std::string(id),
                                     .uri = UriOf(kind, id),
                                     .not_before = now - kBackdated,
                                     .not_after = now + kClientLife};
  if (kind == "device") {
    content.use = tls::Use::kDevice;
    content.dns_names = {kWorkerDnsName};
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string leaf,
                          tls::SignCertificate(content, issuer_pem_, issuer_key_pem_));
  return absl::StrCat(leaf, issuer_pem_);
}

absl::Status Authority::RenewServerCertificate() {
  absl::MutexLock lock(&mutex_);
  const std::string path = Path("server.pem");
  const absl::Time now = clock_.Now();
  tls::CertificateContent content = {.use = tls::Use::kServer,
                                     .public_key_pem = "",
                                     .common_name = "Wattle coordinator",
                                     .uri = absl::StrCat("spiffe://", fleet(), "/coordinator"),
                                     .dns_names = names_.dns_names,
                                     .addresses = names_.addresses,
                                     .not_before = now - kBackdated,
                                     .not_after = now + kServerLife};
  WATTLE_ASSIGN_OR_RETURN(content.public_key_pem, tls::PublicKeyOf(server_key_pem_));
  WATTLE_ASSIGN_OR_RETURN(const std::string digest, tls::PublicKeySha256(content.public_key_pem));
  if (const absl::StatusOr<std::string> present = ReadWholeFile(path); present.ok()) {
    const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(*present);
    if (facts.ok() && facts->public_key_sha256 == digest &&
        facts->not_after - now > kServerLife / 2 && HasAll(facts->dns_names, names_.dns_names) &&
        HasAll(facts->addresses, names_.addresses) &&
        tls::VerifyChain(*present, root_pem_, tls::Use::kServer).ok()) {
      return absl::OkStatus();
    }
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string leaf,
                          tls::SignCertificate(content, issuer_pem_, issuer_key_pem_));
  // The root too: a token pins it.
  return tls::WritePrivateFile(path, absl::StrCat(leaf, issuer_pem_, root_pem_));
}

}  // namespace wattle::authority
