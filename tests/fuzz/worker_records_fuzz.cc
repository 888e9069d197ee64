// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/agent/storage/memory_disk.h"
#include "worker/agent/storage/state_directory.h"

WATTLE_FUZZ_TARGET(worker_records, bytes) {
  agent::MemoryDisk disk(/*seed=*/1);
  for (const char* name : {"device.pb", "desired.pb", "rates.pb", "heat.pb", "lineage.pb",
                           "ended.pb", "attempts/j1.1/state.pb"}) {
    WATTLE_RETURN_IF_ERROR(disk.Replace(name, bytes));
  }
  WATTLE_ASSIGN_OR_RETURN(const auto directory, agent::StateDirectory::Open(&disk));
  (void)directory->ReadLineage();
  (void)directory->ReadEnded();
  (void)directory->ReadAttempts();
  (void)directory->ReadRates();
  (void)directory->ReadHeat();
  (void)directory->ReadDesired();
  const auto device = directory->ReadDevice();
  return device.problem.empty() ? absl::OkStatus() : absl::DataLossError(device.problem);
}
