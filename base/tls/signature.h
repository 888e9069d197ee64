// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Signatures of short texts by keys of P-256 (ECDSA with SHA-256) or Ed25519. OpenSSL does all
// cryptography. Thread-safe.
#ifndef WATTLE_BASE_TLS_SIGNATURE_H_
#define WATTLE_BASE_TLS_SIGNATURE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::tls {

// key_pem: a private key without a password. Errors: kInvalidArgument for another text or type.
absl::StatusOr<std::string> SignText(absl::string_view key_pem, absl::string_view text);
// Errors: kInvalidArgument for a text that is no public key of these types.
absl::Status CheckSignersKey(absl::string_view public_key_pem);
// Errors: as CheckSignersKey; kUnauthenticated for a signature that is not of this text and key.
absl::Status VerifyText(absl::string_view public_key_pem, absl::string_view text,
                        absl::string_view signature);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_SIGNATURE_H_
