// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The text that a device or a person enrols with: wattle1:HOST:PORT:ID:SECRET:PIN. And the text
// that a program shows with each request: wattle-service:ID:SECRET to the coordinator, and
// wattle-page:ID:SECRET to a worker, which must never see the former. Thread-safe.
#ifndef WATTLE_BASE_TLS_TOKEN_H_
#define WATTLE_BASE_TLS_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::tls {

// Random bytes of each kind of token, which has them as hex digits.
inline constexpr int kTokenIdBytes = 8;
inline constexpr int kTokenSecretBytes = 16;

// The prefix of a token for a device or a person.
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
// Parses an HTTP request's header Authorization: "Bearer wattle-service:...". Errors: as
// ParseToken.
absl::StatusOr<ServiceToken> ParseAuthorization(absl::string_view header);

// A token for workers' pages. The coordinator does not know it.
std::string FormatPageToken(const ServiceToken& token);
// Parses a request's header Authorization: "Bearer wattle-page:...". Errors: as ParseToken; the
// error for a service's token says that the board has now seen that token.
absl::StatusOr<ServiceToken> ParsePageAuthorization(absl::string_view header);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_TOKEN_H_
