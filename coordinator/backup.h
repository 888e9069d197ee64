// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-coordinator backup` copies a data directory while a coordinator writes to the original. A
// coordinator can start on the copy. `wattle-coordinator restore` makes a data directory from a
// backup, for a fleet whose workers know more than the backup does
// (docs/adr/0010-lineage-and-restore.md). RestoreReport tells afterwards what those workers had.
#ifndef WATTLE_COORDINATOR_BACKUP_H_
#define WATTLE_COORDINATOR_BACKUP_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wattle {

// Names within a data directory.
inline constexpr char kJournalFile[] = "journal.db";
inline constexpr char kArtifactsFolder[] = "artifacts";
inline constexpr char kAuthorityFolder[] = "authority";

// Copies journal and artifacts into the new directory `destination`, which appears complete or not
// at all. passphrase: copies the authority too, its keys under it; empty: does not. Errors:
// kNotFound (the data directory is no coordinator's, or has no authority), kAlreadyExists,
// kResourceExhausted.
absl::Status Backup(const std::string& data_directory, const std::string& destination,
                    const std::string& passphrase = "");

struct RestoreOptions {
  std::string data_directory;
  std::string backup;           // empty: the directory's own journal goes on under a later epoch
  bool replace = false;         // sets an existing journal aside; its artifacts stay
  std::string passphrase = {};  // restores the backup's authority; empty: leaves it out
  int64_t epoch_min =
      0;  // for a backup that was restored before: above every epoch of those restores
};

// Returns a report for people: the restore, and the work that is known to be lost. Errors:
// kNotFound (there is no backup), kAlreadyExists (there is a journal already), kFailedPrecondition
// (a coordinator runs on the directory, or its journal has another lineage than the backup),
// kResourceExhausted, kInvalidArgument (the passphrase is another one).
absl::StatusOr<std::string> Restore(const RestoreOptions& options);

// What the workers reported since the restore about work from after the backup, one line for each
// finding. Also works while the coordinator runs.
absl::StatusOr<std::string> RestoreReport(const std::string& data_directory);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_BACKUP_H_
