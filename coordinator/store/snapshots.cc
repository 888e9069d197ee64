// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/snapshots.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include <sqlite3.h>

#include "base/crc32c.h"
#include "base/status_macros.h"
#include "coordinator/store/schema.h"

namespace wattle::store {
namespace {

// A transaction of this size takes a few milliseconds. A commit may have to wait for it.
constexpr size_t kTransactionBytes = size_t{128} << 10;
constexpr int64_t kRowsRemovedAtOnce = 500;
constexpr size_t kSnapshotsKept = 2;

}  // namespace

absl::Status Snapshots::InTransaction(const std::function<absl::Status()>& body) {
  absl::MutexLock lock(writing_);
  return database_->InTransaction(body);
}

absl::StatusOr<std::vector<int64_t>> Snapshots::List() const {
  WATTLE_ASSIGN_OR_RETURN(
      Statement select,
      database_->Prepare(
          "SELECT sequence FROM snapshots WHERE verified = 1 ORDER BY sequence DESC"));
  std::vector<int64_t> sequences;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      return sequences;
    }
    sequences.push_back(select.Integer(0));
  }
}

absl::Status Snapshots::Read(int64_t sequence, const TakeRow& take) const {
  WATTLE_ASSIGN_OR_RETURN(
      Statement header,
      database_->Prepare("SELECT row_count, digest FROM snapshots WHERE sequence = ?"));
  WATTLE_ASSIGN_OR_RETURN(const bool known, header.Bind(sequence).Step());
  if (!known) {
    return absl::NotFoundError(absl::StrCat(path_, ": no snapshot ", sequence));
  }
  WATTLE_ASSIGN_OR_RETURN(
      Statement select,
      database_->Prepare("SELECT row, record FROM snapshot_rows WHERE sequence = ? ORDER BY row"));
  select.Bind(sequence);
  int64_t rows = 0;
  uint32_t digest = 0;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      break;
    }
    const std::string record = select.Bytes(1);
    if (select.Integer(0) != rows) {
      break;  // A row is missing.
    }
    ++rows;
    digest = ExtendCrc32c(digest, record);
    WATTLE_RETURN_IF_ERROR(take(record));
  }
  if (rows != header.Integer(0) || int64_t{digest} != header.Integer(1)) {
    return absl::DataLossError(absl::StrCat(path_, ": snapshot ", sequence, " is damaged"));
  }
  return absl::OkStatus();
}

absl::Status Snapshots::Write(const SnapshotToWrite& snapshot) {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<int64_t> kept, List());
  if (!kept.empty() && kept.front() >= snapshot.sequence) {
    return absl::OkStatus();  // A snapshot as new as this one exists.
  }
  absl::Cleanup remove = [&] {
    // Best effort: the next start removes the rest.
    Remove(snapshot.sequence).IgnoreError();
  };
  WATTLE_RETURN_IF_ERROR(Remove(snapshot.sequence));
  WATTLE_RETURN_IF_ERROR(WriteRows(snapshot));
  WATTLE_RETURN_IF_ERROR(Verify(snapshot));
  std::move(remove).Cancel();
  return KeepTheLatest();
}

absl::Status Snapshots::WriteRows(const SnapshotToWrite& snapshot) {
  WATTLE_ASSIGN_OR_RETURN(Statement insert,
                          database_->Prepare("INSERT INTO snapshot_rows VALUES (?, ?, ?)"));
  std::vector<std::string> records;  // The rows of the next transaction.
  size_t bytes = 0;
  int64_t rows = 0;
  uint32_t digest = 0;
  const auto flush = [&]() -> absl::Status {
    const absl::Status stored = InTransaction([&]() -> absl::Status {
      for (const std::string& record : records) {
        WATTLE_RETURN_IF_ERROR(insert.Bind(snapshot.sequence).Bind(rows++).BindBytes(record).Run());
      }
      return absl::OkStatus();
    });
    records.clear();
    bytes = 0;
    return stored;
  };
  const absl::Status given = snapshot.rows([&](absl::string_view record) -> absl::Status {
    digest = ExtendCrc32c(digest, record);
    bytes += record.size();
    records.emplace_back(record);
    // Small transactions, so that a commit between two of them waits only milliseconds.
    return bytes < kTransactionBytes ? absl::OkStatus() : flush();
  });
  WATTLE_RETURN_IF_ERROR(given);
  WATTLE_RETURN_IF_ERROR(flush());
  WATTLE_ASSIGN_OR_RETURN(
      Statement header,
      database_->Prepare("INSERT INTO snapshots SELECT ?1, crc, ?2, ?3, 0 FROM events "
                         "WHERE sequence = ?1"));
  header.Bind(snapshot.sequence).Bind(rows).Bind(int64_t{digest});
  return InTransaction([&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(header.Run());
    return sqlite3_changes(database_->get()) == 1
               ? absl::OkStatus()
               : absl::InternalError(absl::StrCat(path_, ": snapshot ", snapshot.sequence,
                                                  ": the journal does not have that event"));
  });
}

absl::Status Snapshots::Verify(const SnapshotToWrite& snapshot) {
  // Compares the stored rows with the state itself, because a checksum of the written bytes would
  // not find an error in encoding.
  WATTLE_RETURN_IF_ERROR(
      snapshot.check([&](const TakeRow& take) { return Read(snapshot.sequence, take); }));
  // The snapshot and its rows must be durable before anything that they replace is deleted.
  WATTLE_RETURN_IF_ERROR(database_->Execute("PRAGMA synchronous = FULL"));
  const absl::Status verified = InTransaction([&] {
    return database_->Execute(
        absl::StrCat("UPDATE snapshots SET verified = 1 WHERE sequence = ", snapshot.sequence));
  });
  WATTLE_RETURN_IF_ERROR(database_->Execute("PRAGMA synchronous = NORMAL"));
  return verified;
}

absl::Status Snapshots::Remove(int64_t sequence) {
  // Deletes the snapshot's row first: rows of `snapshot_rows` without it belong to no snapshot.
  WATTLE_RETURN_IF_ERROR(InTransaction([&] {
    return database_->Execute(absl::StrCat("DELETE FROM snapshots WHERE sequence = ", sequence));
  }));
  int removed = 0;
  do {
    WATTLE_RETURN_IF_ERROR(InTransaction([&] {
      absl::Status deleted = database_->Execute(absl::StrCat(
          "DELETE FROM snapshot_rows WHERE rowid IN (SELECT rowid FROM snapshot_rows WHERE "
          "sequence = ",
          sequence, " LIMIT ", kRowsRemovedAtOnce, ")"));
      removed = sqlite3_changes(database_->get());
      return deleted;
    }));
  } while (removed > 0);
  return absl::OkStatus();
}

absl::Status Snapshots::RemoveUnverified() {
  WATTLE_ASSIGN_OR_RETURN(
      Statement select,
      database_->Prepare("SELECT DISTINCT sequence FROM snapshot_rows WHERE sequence NOT IN "
                         "(SELECT sequence FROM snapshots WHERE verified = 1) UNION "
                         "SELECT sequence FROM snapshots WHERE verified = 0"));
  std::vector<int64_t> unverified;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      break;
    }
    unverified.push_back(select.Integer(0));
  }
  for (const int64_t sequence : unverified) {
    WATTLE_RETURN_IF_ERROR(Remove(sequence));
  }
  return absl::OkStatus();
}

absl::Status Snapshots::KeepTheLatest() {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<int64_t> sequences, List());
  for (size_t i = kSnapshotsKept; i < sequences.size(); ++i) {
    WATTLE_RETURN_IF_ERROR(Remove(sequences[i]));
  }
  // A start from the older snapshot still needs the events after it.
  return sequences.size() < kSnapshotsKept ? absl::OkStatus()
                                           : ArchiveEvents(sequences[kSnapshotsKept - 1]);
}

// Copies first, deletes then: a crash in between leaves events in both files, which is harmless.
// Events that the archive already has are written again, because the process that wrote them may
// have died before the sync.
absl::Status Snapshots::ArchiveEvents(int64_t up_to_sequence) {
  WATTLE_ASSIGN_OR_RETURN(
      Database archive,
      Database::Open(absl::StrCat(path_, kArchiveSuffix),
                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs_));
  WATTLE_RETURN_IF_ERROR(archive.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"));
  WATTLE_RETURN_IF_ERROR(PrepareArchiveSchema(archive));
  WATTLE_ASSIGN_OR_RETURN(
      Statement select,
      database_->Prepare("SELECT sequence, at_unix_seconds, kind, event, crc FROM events WHERE "
                         "sequence <= ? ORDER BY sequence LIMIT ?"));
  WATTLE_ASSIGN_OR_RETURN(
      Statement insert, archive.Prepare("INSERT OR REPLACE INTO events (sequence, at_unix_seconds, "
                                        "kind, event, crc) VALUES (?, ?, ?, ?, ?)"));
  while (true) {
    int64_t last = 0;
    const absl::Status copied = archive.InTransaction([&]() -> absl::Status {
      select.Reset();
      select.Bind(up_to_sequence).Bind(kRowsRemovedAtOnce);
      while (true) {
        WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
        if (!row) {
          return absl::OkStatus();
        }
        last = select.Integer(0);
        WATTLE_RETURN_IF_ERROR(insert.Bind(last)
                                   .Bind(select.Real(1))
                                   .Bind(select.Bytes(2))
                                   .BindBytes(select.Bytes(3))
                                   .Bind(select.Integer(4))
                                   .Run());
      }
    });
    WATTLE_RETURN_IF_ERROR(copied);
    if (last == 0) {
      return absl::OkStatus();
    }
    select.Reset();
    WATTLE_RETURN_IF_ERROR(InTransaction([&] {
      return database_->Execute(absl::StrCat("DELETE FROM events WHERE sequence <= ", last));
    }));
  }
}

}  // namespace wattle::store
