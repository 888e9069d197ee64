// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "base/tls/token.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(enrolment_token, bytes) {
  const auto service = tls::ParseServiceToken(bytes);
  WATTLE_CHECK(!service.ok() || tls::FormatServiceToken(*service) == bytes, "a token has one form");
  const auto shown = tls::ParseAuthorization(bytes);
  const auto token = tls::ParseToken(bytes);
  WATTLE_CHECK(!token.ok() || (!service.ok() && !shown.ok()), "a token is of one kind");
  return token.status();
}
