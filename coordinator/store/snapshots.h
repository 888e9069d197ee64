// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Snapshots of the state in the journal's file. A snapshot is many rows of one record each, so that
// a state of any size fits. Snapshots writes the rows in small transactions between the commits. A
// snapshot counts only after its rows were read back and verified. A crash leaves an unverified
// snapshot, which the next start removes. The two latest are kept, with all events after the older
// one. One thread at a time uses Snapshots, beside the thread that commits.
#ifndef WATTLE_COORDINATOR_STORE_SNAPSHOTS_H_
#define WATTLE_COORDINATOR_STORE_SNAPSHOTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "coordinator/store/journal.h"
#include "coordinator/store/sqlite.h"

namespace wattle::store {

class Snapshots {
 public:
  // path: the journal's, for messages and for the archive beside it. vfs: the archive's, see
  // Database::Open. database: a connection that only Snapshots uses. writing: every writer to the
  // file holds this mutex, because a thread that waits on SQLite's own lock would have to poll.
  Snapshots(std::string path, std::string vfs, Database* database, absl::Mutex* writing)
      : path_(std::move(path)), vfs_(std::move(vfs)), database_(database), writing_(writing) {}

  // The verified snapshots, newest first.
  absl::StatusOr<std::vector<int64_t>> List() const;
  // Implements Journal::ReadSnapshot.
  absl::Status Read(int64_t sequence, const TakeRow& take) const;
  // Implements Journal::WriteSnapshot.
  absl::Status Write(const SnapshotToWrite& snapshot);
  // Removes the snapshots that a crash left unverified. The caller does this before the first
  // commit.
  absl::Status RemoveUnverified();

 private:
  absl::Status WriteRows(const SnapshotToWrite& snapshot);
  absl::Status Verify(const SnapshotToWrite& snapshot);
  absl::Status Remove(int64_t sequence);
  absl::Status KeepTheLatest();
  absl::Status ArchiveEvents(int64_t up_to_sequence);
  // Runs `body` as one small transaction between two commits.
  absl::Status InTransaction(const std::function<absl::Status()>& body);

  const std::string path_;
  const std::string vfs_;
  Database* const database_;
  absl::Mutex* const writing_;
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_SNAPSHOTS_H_
