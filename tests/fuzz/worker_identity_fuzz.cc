// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_target.h"
#include "worker/agent/storage/memory_disk.h"
#include "worker/agent/storage/state_directory.h"

WATTLE_FUZZ_TARGET(worker_identity, bytes) {
  agent::MemoryDisk disk(/*seed=*/1);
  (void)disk.Replace("identity", bytes);
  return agent::StateDirectory::Open(&disk).status();
}
