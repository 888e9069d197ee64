// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/tls/signature.h"
#include "tests/fuzz/fuzz_target.h"

// A public key in PEM, a 0 byte, the signature.
WATTLE_FUZZ_TARGET(signature, bytes) {
  const size_t end = std::min(bytes.find('\0'), bytes.size());
  (void)tls::CheckSignersKey(bytes.substr(0, end)).ok();  // any answer except a crash is right
  return tls::VerifyText(bytes.substr(0, end), "aabbccdd11",
                         bytes.substr(std::min(end + 1, bytes.size())));
}
