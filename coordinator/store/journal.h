// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's durable log: events in SQLite (WAL, synchronous=FULL), numbered by a primary
// key, and in the same transaction plain tables of devices, jobs, attempts, energy_ledger and
// profiles to query. A snapshot with the events after it is kept; older events move to
// `<path>.archive`. One Journal per path (a lock file); calls from one thread at a time, Backup
// from any.
#ifndef WATTLE_COORDINATOR_STORE_JOURNAL_H_
#define WATTLE_COORDINATOR_STORE_JOURNAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "wattle/v1/journal.pb.h"

namespace wattle::store {

struct StoredSnapshot {
  int64_t sequence = 0;  // of the last event in it
  std::string bytes;     // core::SnapshotBytes
};

class Journal {
 public:
  // Opens or makes the journal file `path`; its directory must exist. Errors: kFailedPrecondition
  // for a newer schema or a lock held by another process (named); kDataLoss for a damaged file;
  // kPermissionDenied, kNotFound, kResourceExhausted for the file system, each with the remedy.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::string& path);
  virtual ~Journal() = default;

  // All of `events` in one durable transaction, or nothing. Sequence numbers must follow the last
  // one. Errors: kAborted when a number exists (another coordinator leads); kResourceExhausted for
  // a full disk; kUnavailable when busy; kDataLoss for I/O errors and damage. After any error the
  // process should end.
  virtual absl::Status Append(absl::Span<const v1::Event> events) = 0;

  // The newest snapshot whose checksum holds; nothing where none was written. Errors: kDataLoss.
  virtual absl::StatusOr<std::optional<StoredSnapshot>> LatestSnapshot() = 0;
  // Events with a number above `after_sequence`, in order. Stops at the first error of `take`.
  // Errors: kDataLoss for a gap or an unreadable event.
  virtual absl::Status Replay(int64_t after_sequence,
                              const std::function<absl::Status(const v1::Event&)>& take) = 0;
  // Stores the snapshot, reads it back, and only then moves the events up to its number to the
  // archive. Errors as Append.
  virtual absl::Status WriteSnapshot(const StoredSnapshot& snapshot) = 0;

  // A consistent copy at `destination` (which must not exist) while appends go on. The archive is
  // copied beside it. Errors: kAlreadyExists, kResourceExhausted; nothing half-written stays
  // behind.
  virtual absl::Status Backup(const std::string& destination) = 0;

  // The file is a copy made by Backup, and no JournalOpened was appended to it since.
  [[nodiscard]] virtual bool is_copy() const = 0;

  // Of the last durable event; 0: none.
  [[nodiscard]] virtual int64_t last_sequence() const = 0;
};

// Journal::Backup from outside: of the journal at `path`, also while another process has it open.
absl::Status BackupJournal(const std::string& path, const std::string& destination);

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_JOURNAL_H_
