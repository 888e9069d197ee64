// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/chunk_list.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(chunk_list, bytes) {
  return artifacts::ReadChunkList(InFile(bytes)).status();
}
