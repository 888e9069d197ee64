// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The record of an upgrade, upgrade.pb, with a copy of the same content in upgrade.pb.copy.
#ifndef WATTLE_WORKER_AGENT_STORAGE_UPGRADE_FILE_H_
#define WATTLE_WORKER_AGENT_STORAGE_UPGRADE_FILE_H_

#include "absl/status/status.h"

#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/storage/disk.h"

namespace wattle::agent {

// Empty if there is none, or if no copy can be read; the link `current` then decides which release
// runs.
v1::UpgradeRecord ReadUpgradeRecord(Disk& disk);
absl::Status WriteUpgradeRecord(const v1::UpgradeRecord& record, Disk& disk);
void RemoveUpgradeRecord(Disk& disk);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_UPGRADE_FILE_H_
