// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/token.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/host_port.h"
#include "base/status_macros.h"

namespace wattle::tls {
namespace {

constexpr absl::string_view kPrefix = "wattle1:";

// Takes the part after the last colon off `text`: so many hex digits.
absl::StatusOr<std::string> TakeHex(absl::string_view name, size_t digits,
                                    absl::string_view& text) {
  const size_t colon = text.rfind(':');
  const absl::string_view part = colon == absl::string_view::npos ? "" : text.substr(colon + 1);
  if (part.size() != digits || !std::all_of(part.begin(), part.end(), [](char c) {
        return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
      })) {
    return absl::InvalidArgumentError(
        absl::StrCat("token: its ", name, " has ", part.size(), " characters, wanted ", digits,
                     " hex digits; copy the whole token: wattle1:HOST:PORT:ID:SECRET:PIN"));
  }
  text = text.substr(0, colon);
  return std::string(part);
}

}  // namespace

std::string FormatToken(const Token& token) {
  return absl::StrCat(kPrefix, token.address, ":", token.id, ":", token.secret, ":", token.pin);
}

absl::StatusOr<Token> ParseToken(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (!absl::ConsumePrefix(&rest, kPrefix)) {
    return absl::InvalidArgumentError(
        "token: does not begin with wattle1:; 'wattle device token' makes one");
  }
  Token token;
  WATTLE_ASSIGN_OR_RETURN(token.pin, TakeHex("pin", 64, rest));
  WATTLE_ASSIGN_OR_RETURN(token.secret, TakeHex("secret", 32, rest));
  WATTLE_ASSIGN_OR_RETURN(token.id, TakeHex("id", 16, rest));
  WATTLE_RETURN_IF_ERROR(ParseHostPort("token", rest).status());
  token.address = std::string(rest);
  return token;
}

}  // namespace wattle::tls
