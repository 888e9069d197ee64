// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The journal in SQLite.
#include "coordinator/store/journal.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include <sqlite3.h>

#include "base/crc32c.h"
#include "base/fault_point.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "coordinator/store/lock_file.h"
#include "coordinator/store/old_records.h"
#include "coordinator/store/schema.h"
#include "coordinator/store/snapshots.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/tables.h"

namespace wattle::store {
namespace {

constexpr int kOpenFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
// For sqlite3_backup_step: all pages in one step, which is one read transaction.
constexpr int kAllPages = -1;
// Sizes of the write-ahead log, in pages of 4 KiB. At kLogPagesForCheckpoint, Checkpoint stops the
// commits for a moment, because SQLite can restart the log only once all of it is copied. At
// kLogPagesForCommit a commit copies the log itself, if Checkpoint is not called.
constexpr int kLogPagesForCheckpoint = 2'000;
constexpr int kLogPagesForCommit = 8'000;
// SQLite's application_id of a copy that has not been opened yet ("copy" in ASCII); 0 otherwise.
// The id is in the file's header, so it stays with a moved copy.
constexpr int kCopyMark = 0x636f7079;

std::string ArchivePath(const std::string& path) {
  return absl::StrCat(path, kArchiveSuffix);
}

absl::StatusOr<Database> OpenFile(const std::string& path, absl::string_view synchronous,
                                  const std::string& vfs) {
  WATTLE_ASSIGN_OR_RETURN(Database database, Database::Open(path, kOpenFlags, vfs));
  WATTLE_RETURN_IF_ERROR(
      database.Execute(absl::StrCat("PRAGMA journal_mode = WAL; PRAGMA synchronous = ", synchronous,
                                    "; PRAGMA wal_autocheckpoint = ", kLogPagesForCommit)));
  return database;
}

absl::Status CopyDatabase(const std::string& source_path, const std::string& destination_path,
                          const std::string& vfs) {
  WATTLE_ASSIGN_OR_RETURN(
      Database source,
      Database::Open(source_path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs));
  WATTLE_ASSIGN_OR_RETURN(Database destination, Database::Open(destination_path, kOpenFlags, vfs));
  // FULL makes the copy durable before this function returns.
  WATTLE_RETURN_IF_ERROR(destination.Execute("PRAGMA synchronous = FULL;"));
  sqlite3_backup* backup = sqlite3_backup_init(destination.get(), "main", source.get(), "main");
  if (backup == nullptr) {
    return StatusOfDatabase(destination.get(), destination_path);
  }
  // One read transaction; WAL lets the writer continue meanwhile.
  sqlite3_backup_step(backup, kAllPages);
  if (sqlite3_backup_finish(backup) != SQLITE_OK) {
    return StatusOfDatabase(destination.get(), destination_path);
  }
  return absl::OkStatus();
}

// Marks the file as a copy: the process that opens it must know that the original may have
// continued.
absl::Status MarkAsCopy(const std::string& path, const std::string& vfs) {
  if (WATTLE_FAULT_POINT("copy mark")) {
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(Database copy, Database::Open(path, kOpenFlags, vfs));
  WATTLE_RETURN_IF_ERROR(copy.Execute(
      absl::StrCat("PRAGMA synchronous = FULL; PRAGMA application_id = ", kCopyMark, ";")));
  // The mark is in the copy's write-ahead log, which does not go along with a file that is renamed.
  if (sqlite3_wal_checkpoint_v2(copy.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                                nullptr) != SQLITE_OK) {
    return StatusOfDatabase(copy.get(), path);
  }
  return absl::OkStatus();
}

// The names of a database's files after its path.
constexpr const char* kFilesOfADatabase[] = {"", "-wal", "-shm", "-journal"};

sqlite3_vfs* FileSystem(const std::string& vfs) {
  return sqlite3_vfs_find(vfs.empty() ? nullptr : vfs.c_str());
}

bool Exists(const std::string& path, const std::string& vfs) {
  sqlite3_vfs* const files = FileSystem(vfs);
  int exists = 0;
  return files->xAccess(files, path.c_str(), SQLITE_ACCESS_EXISTS, &exists) == SQLITE_OK &&
         exists != 0;
}

void RemoveDatabase(const std::string& path, const std::string& vfs) {
  sqlite3_vfs* const files = FileSystem(vfs);
  for (const char* suffix : kFilesOfADatabase) {
    (void)files->xDelete(files, (path + suffix).c_str(), 0);  // Most of them do not exist.
  }
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  WATTLE_RETURN_IF_ERROR(RenameFile(from, to));
  const std::string parent = std::filesystem::path(to).parent_path().string();
  return SyncDirectory(parent.empty() ? "." : parent);
}

class SqliteJournal final : public Journal {
 public:
  // log: the connection for commits; each commit is on the disk before it is reported. keeper: the
  // connection for snapshots and checkpoints beside the commits.
  SqliteJournal(std::string path, std::string vfs, std::optional<LockFile> lock, Database log,
                Database keeper)
      : path_(std::move(path)),
        lock_(std::move(lock)),
        log_(std::move(log)),
        keeper_(std::move(keeper)),
        vfs_(std::move(vfs)),
        tables_(&log_),
        snapshots_(path_, vfs_, &keeper_, &writing_) {}

  absl::Status Load() {
    {
      absl::MutexLock lock(&keeping_);
      WATTLE_RETURN_IF_ERROR(MakeReadDurable());
      WATTLE_RETURN_IF_ERROR(snapshots_.RemoveUnverified());
    }
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        log_.Prepare("SELECT sequence, crc FROM events UNION ALL SELECT sequence, events_crc FROM "
                     "snapshots ORDER BY sequence DESC LIMIT 1"));
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (row) {
      last_sequence_ = select.Integer(0);
      chain_ = static_cast<uint32_t>(select.Integer(1));
    }
    WATTLE_ASSIGN_OR_RETURN(const int64_t mark, log_.Integer("PRAGMA application_id"));
    is_copy_ = mark == kCopyMark;
    return absl::OkStatus();
  }

  absl::Status Append(absl::Span<const v1::Event> events) override {
    if (events.empty()) {
      return absl::OkStatus();
    }
    int64_t expected = last_sequence_;
    for (const v1::Event& event : events) {
      if (event.sequence() != ++expected) {
        return absl::InternalError(absl::StrCat("journal: event ", event.sequence(), " after ",
                                                expected - 1, ", which leaves a gap"));
      }
    }
    const bool opens = std::any_of(events.begin(), events.end(), [](const v1::Event& event) {
      return event.has_journal_opened();
    });
    uint32_t chain = chain_;
    {
      absl::MutexLock lock(&writing_);
      // One transaction for the whole batch: one sync for all its events, and none is stored
      // without the others.
      const absl::Status stored = log_.InTransaction([&]() -> absl::Status {
        for (const v1::Event& event : events) {
          WATTLE_RETURN_IF_ERROR(tables_.Store(event, chain));
        }
        return opens ? log_.Execute("PRAGMA application_id = 0") : absl::OkStatus();
      });
      WATTLE_RETURN_IF_ERROR(stored);
    }
    // The members change only after the commit, so a failed append leaves them at the last durable
    // event.
    chain_ = chain;
    last_sequence_ = expected;
    is_copy_ = is_copy_ && !opens;
    return absl::OkStatus();
  }

  absl::Status Replay(int64_t after_sequence,
                      const std::function<absl::Status(const v1::Event&)>& take) override {
    WATTLE_ASSIGN_OR_RETURN(uint32_t chain, ChainAt(after_sequence));
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        log_.Prepare(
            "SELECT sequence, event, crc FROM events WHERE sequence > ? ORDER BY sequence"));
    select.Bind(after_sequence);
    int64_t expected = after_sequence;
    while (true) {
      WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) {
        return absl::OkStatus();
      }
      ++expected;
      if (select.Integer(0) != expected) {
        return Damaged(expected, "is missing");
      }
      const std::string bytes = select.Bytes(1);
      // The chained checksum also finds an event that was replaced by a valid one.
      chain = ExtendCrc32c(chain, bytes);
      if (int64_t{chain} != select.Integer(2)) {
        return Damaged(expected, "is damaged: its checksum does not follow from the one before");
      }
      v1::Event event;
      if (!event.ParseFromString(bytes) || event.sequence() != expected) {
        return Damaged(expected, "cannot be read");
      }
      // An unknown event would change the state in an unknown way, so it must not be skipped.
      if (event.event_case() == v1::Event::EVENT_NOT_SET) {
        return absl::FailedPreconditionError(
            absl::StrCat(path_, ": event ", expected,
                         " is of a kind that this version does not know; start the newer "
                         "wattle-coordinator that wrote it"));
      }
      WATTLE_RETURN_IF_ERROR(take(event));
    }
  }

  absl::StatusOr<std::vector<int64_t>> Snapshots() override {
    absl::MutexLock lock(&keeping_);
    return snapshots_.List();
  }

  absl::Status ReadSnapshot(int64_t sequence, const TakeRow& take) override {
    absl::MutexLock lock(&keeping_);
    return snapshots_.Read(sequence, take);
  }

  absl::Status WriteSnapshot(const SnapshotToWrite& snapshot) override {
    absl::MutexLock lock(&keeping_);
    return snapshots_.Write(snapshot);
  }

  absl::Status Checkpoint() override {
    absl::MutexLock lock(&keeping_);
    WATTLE_ASSIGN_OR_RETURN(const int pages, CopyLog());
    // SQLite reuses the log from its start only if every page is copied, which needs a pause of the
    // commits.
    if (pages < kLogPagesForCheckpoint) {
      return absl::OkStatus();
    }
    absl::MutexLock pause(&writing_);  // Few pages are left to copy now.
    return CopyLog().status();
  }

  absl::Status RemoveHistory(absl::Time before, const std::function<bool()>& stop) override {
    absl::MutexLock lock(&keeping_);
    const auto between_commits = [this](const std::function<absl::Status()>& body)
                                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(keeping_) {
                                       absl::MutexLock pause(&writing_);
                                       return keeper_.InTransaction(body);
                                     };
    WATTLE_RETURN_IF_ERROR(RemoveOldRecords(keeper_, between_commits, before, stop));
    return RemoveOldEvents(absl::StrCat(path_, kArchiveSuffix), vfs_, before, stop);
  }

  absl::Status Backup(const std::string& destination) override {
    return BackupJournal(path_, destination);
  }

  [[nodiscard]] bool is_copy() const override { return is_copy_; }
  [[nodiscard]] int64_t last_sequence() const override { return last_sequence_; }

 private:
  absl::Status Damaged(int64_t sequence, absl::string_view how) const {
    return absl::DataLossError(absl::StrCat(path_, ": event ", sequence, " ", how,
                                            "; the events before it are whole; restore a backup"));
  }

  // The chain's value after the event. REQUIRES: the journal has the event or a snapshot of it.
  absl::StatusOr<uint32_t> ChainAt(int64_t sequence) {
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        log_.Prepare("SELECT crc FROM events WHERE sequence = ?1 UNION ALL SELECT events_crc FROM "
                     "snapshots WHERE sequence = ?1"));
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Bind(sequence).Step());
    return row ? static_cast<uint32_t>(select.Integer(0)) : 0;
  }

  // An earlier process can have died between a write and its sync: its events are then read from
  // the kernel's memory, and a power cut would lose them after they were reported. The checkpoint
  // syncs the write-ahead log first, then copies. On a full disk only the copy fails.
  absl::Status MakeReadDurable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(keeping_) {
    absl::Status copied = CopyLog().status();
    return absl::IsResourceExhausted(copied) ? absl::OkStatus() : copied;
  }

  // Copies those pages from the log to the file that no reader still needs. Returns the number of
  // pages in the log.
  absl::StatusOr<int> CopyLog() ABSL_EXCLUSIVE_LOCKS_REQUIRED(keeping_) {
    int pages = 0;
    int copied = 0;
    const int code = sqlite3_wal_checkpoint_v2(keeper_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                               &pages, &copied);
    if (code != SQLITE_OK && code != SQLITE_BUSY) {  // Busy: a commit is copying.
      return StatusOfDatabase(keeper_.get(), "journal: checkpoint");
    }
    return pages;
  }

  const std::string path_;
  const std::optional<LockFile> lock_;
  Database log_;
  absl::Mutex keeping_ ABSL_ACQUIRED_BEFORE(writing_);
  Database keeper_ ABSL_GUARDED_BY(keeping_);
  const std::string vfs_;
  absl::Mutex writing_;  // Held by each writer to the file.
  Tables tables_;
  class Snapshots snapshots_ ABSL_GUARDED_BY(keeping_);
  uint32_t chain_ = 0;  // The chain's value at last_sequence_.
  std::atomic<int64_t> last_sequence_ = 0;
  bool is_copy_ = false;
};

}  // namespace

absl::Status CopyJournal(const std::string& path, const std::string& to, const std::string& vfs) {
  RemoveDatabase(to, vfs);
  RemoveDatabase(ArchivePath(to), vfs);
  // The archive is copied last, so that it has every event that left the journal before the journal
  // was copied.
  WATTLE_RETURN_IF_ERROR(CopyDatabase(path, to, vfs));
  WATTLE_RETURN_IF_ERROR(MarkAsCopy(to, vfs));
  return Exists(ArchivePath(path), vfs) ? CopyDatabase(ArchivePath(path), ArchivePath(to), vfs)
                                        : absl::OkStatus();
}

absl::Status BackupJournal(const std::string& path, const std::string& destination) {
  if (access(destination.c_str(), F_OK) == 0) {
    return absl::AlreadyExistsError(
        absl::StrCat(destination, ": exists; give a path that does not"));
  }
  const std::string partial = destination + ".partial";
  const absl::Cleanup remove = [&] {
    RemoveDatabase(partial, "");
    RemoveDatabase(ArchivePath(partial), "");
  };
  WATTLE_RETURN_IF_ERROR(WithContext("backup", CopyJournal(path, partial)));
  if (Exists(ArchivePath(partial), "")) {
    WATTLE_RETURN_IF_ERROR(RenameDurably(ArchivePath(partial), ArchivePath(destination)));
  }
  return RenameDurably(partial, destination);
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& path,
                                                       const std::string& vfs) {
  std::optional<LockFile> lock;
  if (vfs.empty()) {
    WATTLE_ASSIGN_OR_RETURN(LockFile taken, LockFile::Take(path + ".lock"));
    lock.emplace(std::move(taken));
  }
  absl::StatusOr<Database> log = OpenFile(path, "FULL", vfs);
  if (!log.ok()) {
    return WithContext(path, log.status());
  }
  WATTLE_RETURN_IF_ERROR(PrepareSchema(*log, path));
  // NORMAL is enough: the next commit, or the end of the snapshot, makes these transactions
  // durable.
  absl::StatusOr<Database> keeper = OpenFile(path, "NORMAL", vfs);
  if (!keeper.ok()) {
    return WithContext(path, keeper.status());
  }
  auto journal = std::make_unique<SqliteJournal>(path, vfs, std::move(lock), *std::move(log),
                                                 *std::move(keeper));
  if (absl::Status status = journal->Load(); !status.ok()) {
    return WithContext(path, status);
  }
  return journal;
}

}  // namespace wattle::store
