// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(signing_request, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const tls::SigningRequest request, tls::ReadSigningRequest(bytes));
  return tls::PublicKeySha256(request.public_key_pem).status();
}
