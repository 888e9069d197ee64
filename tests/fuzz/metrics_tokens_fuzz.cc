// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/agent/metrics_authorizer.h"

WATTLE_FUZZ_TARGET(metrics_tokens, bytes) {
  return agent::ReadTokenHashes(InFile(bytes)).status();
}
