// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/squad.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(squad, bytes) {
  return formats::ParseSquad(bytes, "squad.json").status();
}
