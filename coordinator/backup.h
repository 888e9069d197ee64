// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-coordinator backup`: a data directory that a coordinator can be started on, copied while
// another one writes to the original.
#ifndef WATTLE_COORDINATOR_BACKUP_H_
#define WATTLE_COORDINATOR_BACKUP_H_

#include <string>

#include "absl/status/status.h"

namespace wattle {

// Names within a data directory.
inline constexpr char kJournalFile[] = "journal.db";
inline constexpr char kArtifactsFolder[] = "artifacts";

// Copies journal and artifacts into the new directory `destination`; it appears whole or not at
// all. Errors: kNotFound (no coordinator's directory), kAlreadyExists, kResourceExhausted.
absl::Status Backup(const std::string& data_directory, const std::string& destination);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_BACKUP_H_
