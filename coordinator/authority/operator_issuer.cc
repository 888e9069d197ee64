// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/operator_issuer.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"

namespace wattle::authority {
namespace {

constexpr char kEnd[] = "-----END CERTIFICATE-----";
constexpr size_t kChainBytesMax = 64 << 10;

absl::Status KeyError(const OperatorIssuer& issuer, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--issuer-key ", issuer.key_path, ": ", what));
}

absl::Status ChainError(const OperatorIssuer& issuer, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--issuer-cert ", issuer.chain_path, ": ", what));
}

// Sorts the certificates of the text. A self-signed certificate is the root.
IssuerChain Sorted(absl::string_view pem) {
  IssuerChain chain;
  for (size_t end = pem.find(kEnd); end != absl::string_view::npos; end = pem.find(kEnd)) {
    const std::string one(pem.substr(0, end + sizeof(kEnd) - 1));
    pem.remove_prefix(one.size());
    const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(one);
    if (!facts.ok()) {
      continue;
    }
    const absl::StatusOr<std::string> root =
        tls::PinnedRoot(one, tls::ToHex(facts->public_key_sha256));
    if (root.ok()) {
      chain.root_pem = *root;
    } else {
      absl::StrAppend(&chain.issuer_pem, one.substr(one.find("-----BEGIN")), "\n");
    }
  }
  return chain;
}

// Checks that certificates signed by the issuer are valid for this use.
absl::Status Try(const IssuerChain& chain, const std::string& key_pem, tls::Use use,
                 absl::Time now) {
  tls::CertificateContent nobody = {.use = use,
                                    .public_key_pem = "",
                                    .common_name = "nobody",
                                    .not_before = now,
                                    .not_after = now};
  WATTLE_ASSIGN_OR_RETURN(const std::string key, tls::NewKey());
  WATTLE_ASSIGN_OR_RETURN(nobody.public_key_pem, tls::PublicKeyOf(key));
  WATTLE_ASSIGN_OR_RETURN(const std::string leaf,
                          tls::SignCertificate(nobody, chain.issuer_pem, key_pem));
  return tls::VerifyChain(leaf + chain.issuer_pem, chain.root_pem, use);
}

}  // namespace

absl::StatusOr<std::string> ReadIssuerKey(const OperatorIssuer& issuer) {
  struct stat facts = {};
  if (stat(issuer.key_path.c_str(), &facts) != 0) {
    return KeyError(issuer, FileError(errno, "the file", "cannot be read").message());
  }
  const mode_t others = issuer.key_is_credential ? S_IRWXO : S_IRWXG | S_IRWXO;
  if ((facts.st_mode & others) != 0) {
    return KeyError(issuer, "others may read this key; chmod 600 it");
  }
  const absl::StatusOr<std::string> key = ReadWholeFile(issuer.key_path, kChainBytesMax);
  if (!key.ok()) {
    return KeyError(issuer, key.status().message());
  }
  if (const absl::Status is_key = tls::PublicKeyOf(*key).status(); !is_key.ok()) {
    return KeyError(issuer, absl::StrCat(is_key.message(),
                                         "; openssl genpkey -algorithm EC -pkeyopt "
                                         "ec_paramgen_curve:P-256 makes one"));
  }
  return *key;
}

absl::StatusOr<IssuerChain> ReadIssuerChain(const OperatorIssuer& issuer,
                                            const std::string& key_pem, absl::Time now) {
  const absl::StatusOr<std::string> text = ReadWholeFile(issuer.chain_path, kChainBytesMax);
  if (!text.ok()) {
    return ChainError(issuer, text.status().message());
  }
  const IssuerChain chain = Sorted(*text);
  if (chain.root_pem.empty() || chain.issuer_pem.empty()) {
    return ChainError(issuer,
                      chain.root_pem.empty()
                          ? "has no root; append the certificate of the root, which signs itself"
                          : "has no issuer; put its certificate before that of the root");
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string public_key, tls::PublicKeyOf(key_pem));
  WATTLE_ASSIGN_OR_RETURN(const std::string digest, tls::PublicKeySha256(public_key));
  const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(chain.issuer_pem);
  if (!facts.ok() || facts->public_key_sha256 != digest) {
    return ChainError(issuer, absl::StrCat("the first certificate is not of the key ",
                                           issuer.key_path, "; give the two of one issuer"));
  }
  for (const tls::Use use : {tls::Use::kServer, tls::Use::kDevice}) {
    if (const absl::Status tried = Try(chain, key_pem, use, now); !tried.ok()) {
      return ChainError(issuer,
                        absl::StrCat("what it signs is not accepted (", tried.message(),
                                     "); it wants basicConstraints CA:TRUE, keyUsage keyCertSign "
                                     "and a subject key identifier, signed under that root"));
    }
  }
  if (const absl::Status expiry = tls::CheckExpiry(chain.issuer_pem + chain.root_pem, now);
      !expiry.ok()) {
    return ChainError(issuer, absl::StrCat(expiry.message(), "; have your CA sign a new one"));
  }
  return chain;
}

}  // namespace wattle::authority
