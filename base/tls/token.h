// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The text that a device or a person enrols with: wattle1:HOST:PORT:ID:SECRET:PIN. And the text
// that a service shows with each request: wattle-service:ID:SECRET. Thread-safe.
#ifndef WATTLE_BASE_TLS_TOKEN_H_
#define WATTLE_BASE_TLS_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::tls {

// Of a token for a device or a person.
inline constexpr absl::string_view kTokenPrefix = "wattle1:";

struct Token {
  std::string address;  // HOST:PORT, where the coordinator answers.
  std::string id;       // 16 hex digits.
  std::string secret;   // 32 hex digits: 128 bits.
  std::string pin;      // 64 hex digits: SHA-256 of the public key of the fleet's root.
};

std::string FormatToken(const Token& token);
// Errors: kInvalidArgument names the part that is missing or wrong; no part of the secret.
absl::StatusOr<Token> ParseToken(absl::string_view text);

struct ServiceToken {
  std::string id;      // 16 hex digits.
  std::string secret;  // 32 hex digits.
};

std::string FormatServiceToken(const ServiceToken& token);
// Errors: as ParseToken.
absl::StatusOr<ServiceToken> ParseServiceToken(absl::string_view text);
// Of an HTTP request's header Authorization: "Bearer wattle-service:...". Errors: as ParseToken.
absl::StatusOr<ServiceToken> ParseAuthorization(absl::string_view header);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_TOKEN_H_
