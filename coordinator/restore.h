// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-coordinator restore`: makes a data directory from a backup, so that a coordinator can go
// on with it beside workers that know more than the backup does
// (docs/adr/0010-lineage-and-restore.md). Also tells, later, what those workers had.
#ifndef WATTLE_COORDINATOR_RESTORE_H_
#define WATTLE_COORDINATOR_RESTORE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wattle {

struct RestoreOptions {
  std::string data_directory;
  std::string backup;     // empty: the directory's own journal goes on under a later epoch
  bool replace = false;   // a journal that is there is set aside, its artifacts are kept
  int64_t epoch_min = 0;  // for a backup that was restored before: above every epoch of then
};

// Returns what was done and what is known to be lost, for people. Errors: kNotFound (no backup
// there), kAlreadyExists (a journal is in the way), kFailedPrecondition (a coordinator runs on the
// directory; its journal is of another lineage than the backup), kResourceExhausted.
absl::StatusOr<std::string> Restore(const RestoreOptions& options);

// What the workers of the time after the backup told since the restore, one line each. Also while
// the coordinator runs.
absl::StatusOr<std::string> RestoreReport(const std::string& data_directory);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_RESTORE_H_
