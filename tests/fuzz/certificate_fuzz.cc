// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "absl/time/time.h"

#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(certificate, bytes) {
  for (const tls::Use use : {tls::Use::kClient, tls::Use::kServer}) {
    (void)tls::VerifyChain(bytes, bytes, use).ok();  // any answer except a crash is right
  }
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, tls::ReadCertificate(bytes));
  (void)tls::PinnedRoot(bytes, tls::ToHex(facts.public_key_sha256)).ok();  // the same here
  return tls::CheckExpiry(bytes, absl::FromUnixSeconds(1'800'000'000));
}
