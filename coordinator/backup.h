// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-coordinator backup`: copies a data directory while a coordinator writes to the original.
// A coordinator can start on the copy.
#ifndef WATTLE_COORDINATOR_BACKUP_H_
#define WATTLE_COORDINATOR_BACKUP_H_

#include <string>

#include "absl/status/status.h"

namespace wattle {

// Names within a data directory.
inline constexpr char kJournalFile[] = "journal.db";
inline constexpr char kArtifactsFolder[] = "artifacts";

// Copies journal and artifacts into the new directory `destination`, which appears complete or not
// at all. Errors: kNotFound (the data directory is no coordinator's), kAlreadyExists,
// kResourceExhausted.
absl::Status Backup(const std::string& data_directory, const std::string& destination);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_BACKUP_H_
