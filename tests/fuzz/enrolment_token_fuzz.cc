// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "absl/strings/ascii.h"

#include "base/check.h"
#include "base/tls/token.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(enrolment_token, bytes) {
  const absl::string_view text = absl::StripAsciiWhitespace(bytes);  // files end with a newline
  const auto service = tls::ParseServiceToken(bytes);
  WATTLE_CHECK(!service.ok() || tls::FormatServiceToken(*service) == text, "a token has one form");
  const auto shown = tls::ParseAuthorization(bytes);
  const auto token = tls::ParseToken(bytes);
  WATTLE_CHECK(!token.ok() || tls::FormatToken(*token) == text, "a token has one form");
  WATTLE_CHECK(!token.ok() || (!service.ok() && !shown.ok()), "a token is of one kind");
  return token.status();
}
