// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's durable log: events in SQLite (WAL, synchronous=FULL), numbered by a primary
// key and chained by their checksums, and in the same transaction the tables that follow from them
// (schema.h). The two latest snapshots are kept, with the events after the older one; older events
// move to `<path>.archive`. One Journal per path (a lock file). Append and Replay from one thread;
// the rest from any thread, beside it.
#ifndef WATTLE_COORDINATOR_STORE_JOURNAL_H_
#define WATTLE_COORDINATOR_STORE_JOURNAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/journal.pb.h"

namespace wattle::store {

inline constexpr absl::string_view kArchiveSuffix = ".archive";

// Takes one row of a snapshot.
using TakeRow = std::function<absl::Status(absl::string_view record)>;
// Calls `take` for each row in order; stops at its first error, which is returned.
using GiveRows = std::function<absl::Status(const TakeRow& take)>;

struct SnapshotToWrite {
  int64_t sequence = 0;  // Of the last event in the state.
  GiveRows rows;         // Of the state.
  // Reads the rows that were stored, and says whether they are that state.
  std::function<absl::Status(const GiveRows& stored)> check;
};

class Journal {
 public:
  // Opens or makes the journal file `path`; its directory must exist. A file of an earlier version
  // is converted. Errors: kFailedPrecondition for a newer schema or a lock held by another process
  // (named); kDataLoss for a damaged file; kPermissionDenied, kNotFound, kResourceExhausted for the
  // file system, each with the remedy.
  // vfs: SQLite's name of a file system that only the caller uses, for simulations: then there is
  // no lock file, and Backup has nothing to copy. Empty: that of the machine.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::string& path,
                                                       const std::string& vfs = "");
  virtual ~Journal() = default;

  // All of `events` in one durable transaction, or nothing. Sequence numbers must follow the last
  // one. Errors: kAborted when a number exists (another coordinator leads); kResourceExhausted for
  // a full disk; kOutOfRange for an event larger than SQLite stores; kUnavailable when busy;
  // kDataLoss for I/O errors and damage. After any error the process should end.
  virtual absl::Status Append(absl::Span<const v1::Event> events) = 0;

  // Events with a number above `after_sequence` (0, or that of a snapshot), in order. Stops at the
  // first error of `take`. Errors: kDataLoss for a gap, an unreadable event or one whose checksum
  // does not follow from the event before, each named.
  virtual absl::Status Replay(int64_t after_sequence,
                              const std::function<absl::Status(const v1::Event&)>& take) = 0;

  // Of the snapshots, newest first: start from the first one that can be read.
  virtual absl::StatusOr<std::vector<int64_t>> Snapshots() = 0;
  // Errors: kDataLoss when rows are missing or damaged, which may be known only after the last one:
  // drop what was taken.
  virtual absl::Status ReadSnapshot(int64_t sequence, const TakeRow& take) = 0;
  // Stores the rows, reads them back through `check`, and only then drops all but the two latest
  // snapshots and moves events that neither needs to the archive. Commits go on meanwhile.
  // REQUIRES: the event `sequence` is durable. Errors: as Append, and those of `check`; the
  // snapshots before it are then still there.
  virtual absl::Status WriteSnapshot(const SnapshotToWrite& snapshot) = 0;
  // Moves committed pages from the write-ahead log into the file, so that no commit has to. Call it
  // about every second.
  virtual absl::Status Checkpoint() = 0;

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
