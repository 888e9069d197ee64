// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keys, signing requests and certificates as PEM texts. OpenSSL does all cryptography and, by
// X509_verify_cert, every validation of a chain. Keys are P-256. Thread-safe.
#ifndef WATTLE_BASE_TLS_CERTIFICATE_H_
#define WATTLE_BASE_TLS_CERTIFICATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace wattle::tls {

// By the pin of its root: the fleet's name in certificates, "f" and 16 hex digits.
inline std::string FleetOf(absl::string_view pin) {
  return "f" + std::string(pin.substr(0, 16));
}

// SHA-256 as 32 raw bytes; and as 64 lower-case hex digits.
std::string Sha256(absl::string_view bytes);
std::string ToHex(absl::string_view bytes);
// Random bytes of OpenSSL's generator, as hex digits. kInternal without entropy.
absl::StatusOr<std::string> RandomHex(int bytes);

// A new private key, unencrypted PKCS #8.
absl::StatusOr<std::string> NewKey();
// The public half. kInvalidArgument for a text that is no P-256 key.
absl::StatusOr<std::string> PublicKeyOf(absl::string_view key_pem);
// SHA-256 (raw) of the SubjectPublicKeyInfo of a public key.
absl::StatusOr<std::string> PublicKeySha256(absl::string_view public_key_pem);
// A request (PKCS #10) for the key, without names: whoever signs gives the name.
absl::StatusOr<std::string> NewSigningRequest(absl::string_view key_pem);

struct SigningRequest {
  std::string public_key_pem;
  std::string public_key_sha256;  // Raw, of the SubjectPublicKeyInfo.
  std::string sha256;             // Raw, of the request.
};
inline constexpr int kSigningRequestBytesMax = 4096;
// Errors: kInvalidArgument for a request that is too long or unreadable, has another type of key,
// asks for names or extensions, or is not signed by its own key.
absl::StatusOr<SigningRequest> ReadSigningRequest(absl::string_view pem);

// kDevice: a client that also serves a page.
enum class Use { kRoot, kIssuer, kClient, kDevice, kServer };

struct CertificateContent {
  Use use = Use::kClient;
  std::string public_key_pem;
  std::string common_name;
  std::string uri = {};  // Empty: none, as in the lists below.
  std::vector<std::string> dns_names = {};
  std::vector<std::string> addresses = {};
  absl::Time not_before;
  absl::Time not_after;
};
// Signs with the key of `issuer_pem`; an empty issuer_pem makes a certificate that signs itself. If
// an old root signs the new one, a peer that knows only the old root accepts what the new one
// signs.
absl::StatusOr<std::string> SignCertificate(const CertificateContent& content,
                                            absl::string_view issuer_pem,
                                            absl::string_view issuer_key_pem);

struct CertificateFacts {
  std::string serial;  // Hex digits.
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;  // In the format of inet_ntop.
  absl::Time not_before;
  absl::Time not_after;
  std::string public_key_sha256;  // Raw, of the SubjectPublicKeyInfo.
  std::string issuer_key_id;  // Raw, as the issuer's certificate names its key; empty: not told.
};
// Reads the first certificate of the text. kInvalidArgument for another text.
absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem);

// Checks that `chain_pem` (the peer's certificate first) leads to one of `roots_pem` and is for
// `use`. Looks at no clock: see CheckExpiry. Errors: kUnauthenticated with OpenSSL's reason.
absl::Status VerifyChain(absl::string_view chain_pem, absl::string_view roots_pem, Use use);
// Errors: kUnauthenticated when a certificate of the chain has expired at this time.
absl::Status CheckExpiry(absl::string_view chain_pem, absl::Time at);
// The certificate of the chain that signs itself and whose public key has this SHA-256 (hex): the
// pinned root. Errors: kUnauthenticated when the chain has none.
absl::StatusOr<std::string> PinnedRoot(absl::string_view chain_pem, absl::string_view pin);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_CERTIFICATE_H_
