// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's durable log in SQLite (WAL, synchronous=FULL). Events are numbered by a primary
// key and chained by their checksums. The tables that follow from an event (schema.h) change in the
// event's transaction. The journal keeps the two latest snapshots and the events after the older
// one; earlier events move to `<path>.archive`. A lock file allows one Journal per path. One thread
// calls Append and Replay; any thread may call the other methods at the same time.
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
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "wattle/v1/journal.pb.h"

namespace wattle::store {

inline constexpr absl::string_view kArchiveSuffix = ".archive";

// Takes one row of a snapshot.
using TakeRow = std::function<absl::Status(absl::string_view record)>;
// Calls `take` for each row in order. Stops at the first error of `take` and returns it.
using GiveRows = std::function<absl::Status(const TakeRow& take)>;

struct SnapshotToWrite {
  int64_t sequence = 0;  // The last event in the state.
  GiveRows rows;         // The state's rows.
  // Reads the stored rows and compares them with the state.
  std::function<absl::Status(const GiveRows& stored)> check;
};

class Journal {
 public:
  // Opens or makes the journal file `path`; its directory must exist. Open converts a file of an
  // earlier version. vfs: SQLite's name of a simulated file system; empty: the machine's. A
  // simulated file system has only one user, so there is no lock file. Backup does not work there;
  // CopyJournal does.
  // Errors: kFailedPrecondition for a newer schema, or for a lock that another process holds
  // (named); kDataLoss for a damaged file; kPermissionDenied, kNotFound, kResourceExhausted for the
  // file system, each with the remedy.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::string& path,
                                                       const std::string& vfs = "");
  virtual ~Journal() = default;

  // Stores all of `events` in one durable transaction, or nothing. REQUIRES: the sequence numbers
  // follow the last one without a gap. Errors: kAborted when a number exists, because another
  // coordinator leads; kResourceExhausted for a full disk; kOutOfRange for an event larger than
  // SQLite stores; kUnavailable when busy; kDataLoss for I/O errors and damage. After any error the
  // process should end.
  virtual absl::Status Append(absl::Span<const v1::Event> events) = 0;

  // Gives the events with a number above `after_sequence` (0, or a snapshot's number) in order.
  // Stops at the first error of `take`. Errors: kDataLoss for a gap, an unreadable event, or an
  // event whose checksum does not follow from the event before; each error names the event.
  virtual absl::Status Replay(int64_t after_sequence,
                              const std::function<absl::Status(const v1::Event&)>& take) = 0;

  // The sequence numbers of the snapshots, newest first. A start uses the first one that can be
  // read.
  virtual absl::StatusOr<std::vector<int64_t>> Snapshots() = 0;
  // Gives the snapshot's rows. Errors: kDataLoss for missing or damaged rows. The error may come
  // after the last row; the caller then drops every row that it took.
  virtual absl::Status ReadSnapshot(int64_t sequence, const TakeRow& take) = 0;
  // Stores the rows and reads them back through `check`. Only then does WriteSnapshot drop all but
  // the two latest snapshots, and move the events that neither of them needs to the archive.
  // Commits go on meanwhile. REQUIRES: the event `sequence` is durable. Errors: those of Append and
  // of `check`; after an error all earlier snapshots still exist.
  virtual absl::Status WriteSnapshot(const SnapshotToWrite& snapshot) = 0;
  // Moves committed pages from the write-ahead log into the file, so that commits need not do it.
  // The caller calls Checkpoint about every second.
  virtual absl::Status Checkpoint() = 0;

  // Removes the history from before `before` (old_records.h), in small transactions beside the
  // commits. stop: checked between two transactions. Errors: those of Append; removed records stay
  // removed.
  virtual absl::Status RemoveHistory(absl::Time before, const std::function<bool()>& stop) = 0;

  // Makes a consistent copy at `destination` while appends go on, and a copy of the archive beside
  // it. REQUIRES: `destination` does not exist. Errors: kAlreadyExists, kResourceExhausted; an
  // error leaves no half-written file.
  virtual absl::Status Backup(const std::string& destination) = 0;

  // Whether the file is a copy made by Backup to which no JournalOpened event was appended since.
  [[nodiscard]] virtual bool is_copy() const = 0;

  // The number of the last durable event; 0: none.
  [[nodiscard]] virtual int64_t last_sequence() const = 0;
};

// Copies the journal at `path` to `to`, and its archive to `to`.archive, also while another process
// has the journal open. The copy is marked as one (Journal::is_copy). vfs: see Journal::Open. OK
// means that the whole copy is on the disk, in these two files. After an error or a crash the files
// are useless; the next call replaces them. Errors: those of Journal::Backup.
absl::Status CopyJournal(const std::string& path, const std::string& to,
                         const std::string& vfs = "");

// Journal::Backup for the journal at `path`: CopyJournal under another name, then a rename, so that
// `destination` is never half a copy.
absl::Status BackupJournal(const std::string& path, const std::string& destination);

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_JOURNAL_H_
