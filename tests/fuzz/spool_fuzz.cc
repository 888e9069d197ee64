// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "base/check.h"
#include "base/status_macros.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/agent/storage/memory_disk.h"
#include "worker/agent/storage/spool.h"

WATTLE_FUZZ_TARGET(spool, bytes) {
  agent::MemoryDisk disk(/*seed=*/1);
  WATTLE_RETURN_IF_ERROR(disk.Replace("spool", bytes));
  WATTLE_ASSIGN_OR_RETURN(const auto spool, agent::Spool::Open(&disk));
  const int64_t before = spool->last_sequence();
  const auto number = spool->Append({});
  WATTLE_CHECK(number.ok() && *number == before + 1, "reports follow each other");
  const auto again = agent::Spool::Open(&disk);
  WATTLE_CHECK(again.ok() && (*again)->last_sequence() == *number && (*again)->repair().empty(),
               "an opened spool is whole");
  return absl::OkStatus();
}
