// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A private key under a passphrase: PKCS#8 with PBES2, scrypt and AES-256, which `openssl pkey`
// reads too. Thread-safe.
#ifndef WATTLE_BASE_TLS_ENCRYPTED_KEY_H_
#define WATTLE_BASE_TLS_ENCRYPTED_KEY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::tls {

// Whether the text has a private key without a passphrase.
bool HasPlainKey(absl::string_view pem);

// Errors: kInvalidArgument for a text that is no private key; kInternal, with OpenSSL's words.
absl::StatusOr<std::string> EncryptKey(const std::string& key_pem, const std::string& passphrase);
// The key as it was before. Errors: kInvalidArgument for another passphrase, or for a text that is
// no key under one.
absl::StatusOr<std::string> DecryptKey(const std::string& encrypted_pem,
                                       const std::string& passphrase);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_ENCRYPTED_KEY_H_
