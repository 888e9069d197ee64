// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/upgrade_file.h"

#include <string>

#include "base/status_macros.h"
#include "worker/agent/storage/record_file.h"

namespace wattle::agent {
namespace {

constexpr char kUpgrade[] = "upgrade.pb";
constexpr char kUpgradeCopy[] = "upgrade.pb.copy";

}  // namespace

v1::UpgradeRecord ReadUpgradeRecord(Disk& disk) {
  v1::UpgradeRecord record;
  for (const char* name : {kUpgrade, kUpgradeCopy}) {
    const absl::StatusOr<std::string> bytes = disk.Read(name);
    if (bytes.ok() && DecodeRecord(*bytes, record).ok()) {
      return record;
    }
  }
  return {};
}

absl::Status WriteUpgradeRecord(const v1::UpgradeRecord& record, Disk& disk) {
  const std::string bytes = EncodeRecord(record);
  WATTLE_RETURN_IF_ERROR(disk.Replace(kUpgrade, bytes));
  return disk.Replace(kUpgradeCopy, bytes);
}

void RemoveUpgradeRecord(Disk& disk) {
  disk.Remove(kUpgradeCopy);  // first, because without the record the copy would be read as the
                              // record
  disk.Remove(kUpgrade);
}

}  // namespace wattle::agent
