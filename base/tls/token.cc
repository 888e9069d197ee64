// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/token.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/host_port.h"
#include "base/status_macros.h"

namespace wattle::tls {
namespace {

constexpr absl::string_view kServicePrefix = "wattle-service:";
constexpr absl::string_view kForm = "wattle1:HOST:PORT:ID:SECRET:PIN";
constexpr absl::string_view kServiceForm = "wattle-service:ID:SECRET";
constexpr absl::string_view kPagePrefix = "wattle-page:";
constexpr absl::string_view kPageForm = "wattle-page:ID:SECRET";

struct HexPart {
  absl::string_view name;
  size_t digits = 0;
};

struct Whole {
  absl::string_view token;
  absl::string_view form;  // The expected form.
};

// Between colons; an address in brackets is one part.
size_t CountParts(absl::string_view text) {
  size_t parts = 1;
  bool in_brackets = false;
  for (const char c : text) {
    in_brackets = c == '[' || (in_brackets && c != ']');
    parts += c == ':' && !in_brackets ? 1 : 0;
  }
  return parts;
}

// Takes the part after the last colon off `text`. Of a token that was cut short the last part is
// another one than it is taken for, so the error counts the parts.
absl::StatusOr<std::string> TakeHex(const HexPart& wanted, const Whole& whole,
                                    absl::string_view& text) {
  const size_t colon = text.rfind(':');
  const absl::string_view part = colon == absl::string_view::npos ? "" : text.substr(colon + 1);
  if (part.size() != wanted.digits || !std::all_of(part.begin(), part.end(), [](char c) {
        return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
      })) {
    const size_t parts = CountParts(whole.token);
    const size_t parts_wanted = CountParts(whole.form);
    const std::string wrong =
        parts == parts_wanted ? absl::StrCat("its ", wanted.name, " has ", part.size(),
                                             " characters, wanted ", wanted.digits, " hex digits")
                              : absl::StrCat("has ", parts, " parts, wanted ", parts_wanted);
    return absl::InvalidArgumentError(
        absl::StrCat("token: ", wrong, "; copy the whole token: ", whole.form));
  }
  text = text.substr(0, colon);
  return std::string(part);
}

// What stands behind the prefix. `rest` begins with the colon before the first part.
absl::StatusOr<ServiceToken> ReadParts(const Whole& whole, absl::string_view rest) {
  ServiceToken token;
  WATTLE_ASSIGN_OR_RETURN(token.secret, TakeHex({"secret", 2 * kTokenSecretBytes}, whole, rest));
  WATTLE_ASSIGN_OR_RETURN(token.id, TakeHex({"id", 2 * kTokenIdBytes}, whole, rest));
  if (!rest.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("token: has more parts than ", whole.form, "; copy the whole token"));
  }
  return token;
}

// What the header Authorization shows. form: what it should be.
absl::StatusOr<absl::string_view> ReadBearer(absl::string_view header, absl::string_view form) {
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(header, kScheme)) {
    return absl::InvalidArgumentError(absl::StrCat("Authorization: wanted Bearer ", form));
  }
  return absl::StripAsciiWhitespace(header.substr(kScheme.size()));
}

}  // namespace

std::string FormatToken(const Token& token) {
  return absl::StrCat(kTokenPrefix, token.address, ":", token.id, ":", token.secret, ":",
                      token.pin);
}

absl::StatusOr<Token> ParseToken(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  const Whole whole = {.token = rest, .form = kForm};
  if (absl::StartsWith(rest, kServicePrefix)) {
    return absl::InvalidArgumentError(
        "token: is a service's, which a program shows over HTTPS and which lets nobody in; login "
        "wants one of 'wattle person token', a board one of 'wattle device token'");
  }
  if (!absl::ConsumePrefix(&rest, kTokenPrefix)) {
    return absl::InvalidArgumentError(
        "token: does not begin with wattle1:; 'wattle person token' makes one for a person, "
        "'wattle device token' for a board");
  }
  Token token;
  WATTLE_ASSIGN_OR_RETURN(token.pin, TakeHex({"pin", 64}, whole, rest));
  WATTLE_ASSIGN_OR_RETURN(token.secret, TakeHex({"secret", 2 * kTokenSecretBytes}, whole, rest));
  WATTLE_ASSIGN_OR_RETURN(token.id, TakeHex({"id", 2 * kTokenIdBytes}, whole, rest));
  WATTLE_RETURN_IF_ERROR(ParseHostPort("token", rest).status());
  token.address = std::string(rest);
  return token;
}

std::string FormatServiceToken(const ServiceToken& token) {
  return absl::StrCat(kServicePrefix, token.id, ":", token.secret);
}

std::string FormatPageToken(const ServiceToken& token) {
  return absl::StrCat(kPagePrefix, token.id, ":", token.secret);
}

absl::StatusOr<ServiceToken> ParseServiceToken(absl::string_view text) {
  const absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (absl::StartsWith(rest, kPagePrefix)) {
    return absl::InvalidArgumentError(
        "token: is for the pages of workers; 'wattle service token NAME' makes one for the "
        "coordinator");
  }
  if (!absl::StartsWith(rest, kServicePrefix)) {
    return absl::InvalidArgumentError(absl::StrCat("token: does not begin with ", kServicePrefix,
                                                   "; 'wattle service token NAME' makes one"));
  }
  return ReadParts({.token = rest, .form = kServiceForm}, rest.substr(kServicePrefix.size() - 1));
}

absl::StatusOr<ServiceToken> ParseAuthorization(absl::string_view header) {
  WATTLE_ASSIGN_OR_RETURN(const absl::string_view shown, ReadBearer(header, kServiceForm));
  return ParseServiceToken(shown);
}

absl::StatusOr<ServiceToken> ParsePageAuthorization(absl::string_view header) {
  WATTLE_ASSIGN_OR_RETURN(const absl::string_view shown, ReadBearer(header, kPageForm));
  if (absl::StartsWith(shown, kServicePrefix)) {
    return absl::InvalidArgumentError(
        "token: is a service's, which reads the coordinator's lists, and this board has now seen "
        "it; end it with 'wattle service revoke ID', and give workers' pages one of 'wattle "
        "service page-token'");
  }
  if (!absl::StartsWith(shown, kPagePrefix)) {
    return absl::InvalidArgumentError(absl::StrCat("token: does not begin with ", kPagePrefix,
                                                   "; 'wattle service page-token' makes one"));
  }
  return ReadParts({.token = shown, .form = kPageForm}, shown.substr(kPagePrefix.size() - 1));
}

}  // namespace wattle::tls
