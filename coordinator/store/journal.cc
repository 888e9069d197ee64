// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The journal in SQLite.
#include "coordinator/store/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <sqlite3.h>

#include "base/file.h"
#include "base/status_macros.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/tables.h"

namespace wattle::store {
namespace {

constexpr int kOpenFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
// Pages copied by a backup between two looks at the source.
constexpr int kAllPages = -1;
// SQLite's application_id of a copy that nobody has opened yet ("copy" in ASCII); 0 otherwise. It
// stands in the file's header, so that the copy carries it whoever moves it.
constexpr int kCopyMark = 0x636f7079;

std::string ArchivePath(const std::string& path) {
  return path + ".archive";
}

// FNV-1a, 64 bits: finds damage, which is all it is for.
int64_t Checksum(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  }
  return static_cast<int64_t>(hash);
}

// An exclusive lock on a file, held for life. Released by the kernel when the process ends,
// however.
class LockFile {
 public:
  static absl::StatusOr<LockFile> Take(const std::string& path) {
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (file < 0) {
      return FileError(errno, path, "cannot open");
    }
    LockFile lock(file);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
      char holder[32] = {};
      const ssize_t size = pread(file, holder, sizeof(holder) - 1, 0);
      return absl::FailedPreconditionError(absl::StrCat(
          path, ": another coordinator", size > 0 ? absl::StrCat(" (process ", holder, ")") : "",
          " uses this journal; stop it or give another directory"));
    }
    const std::string process = absl::StrCat(getpid());
    if (ftruncate(file, 0) != 0 || pwrite(file, process.data(), process.size(), 0) < 0) {
      // The number is only told to people: the lock holds without it.
    }
    return lock;
  }
  LockFile(LockFile&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile() {
    if (file_ >= 0) {
      close(file_);
    }
  }

 private:
  explicit LockFile(int file) : file_(file) {}
  int file_;
};

absl::Status Configure(Database& database) {
  // FULL: each commit is on the disk before it is told to anybody.
  return database.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
}

// Makes or checks the schema.
absl::Status PrepareSchema(Database& database, const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const int64_t version, database.Integer("PRAGMA user_version"));
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": schema version ", version, ", this program knows ", kSchemaVersion,
                     "; start the newer wattle-coordinator that wrote it, or restore a backup"));
  }
  if (version == kSchemaVersion) {
    return absl::OkStatus();
  }
  return database.Execute(absl::StrCat("BEGIN IMMEDIATE;", kJournalSchema,
                                       "PRAGMA user_version = ", kSchemaVersion, "; COMMIT;"));
}

absl::Status CopyDatabase(const std::string& source_path, const std::string& destination_path) {
  WATTLE_ASSIGN_OR_RETURN(Database source,
                          Database::Open(source_path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX));
  WATTLE_ASSIGN_OR_RETURN(Database destination, Database::Open(destination_path, kOpenFlags));
  // synchronous applies to the copy: it is durable when this returns.
  WATTLE_RETURN_IF_ERROR(destination.Execute("PRAGMA synchronous = FULL;"));
  sqlite3_backup* backup = sqlite3_backup_init(destination.get(), "main", source.get(), "main");
  if (backup == nullptr) {
    return StatusOfDatabase(destination.get(), destination_path);
  }
  // One read transaction: WAL lets the writer go on meanwhile.
  sqlite3_backup_step(backup, kAllPages);
  if (sqlite3_backup_finish(backup) != SQLITE_OK) {
    return StatusOfDatabase(destination.get(), destination_path);
  }
  return absl::OkStatus();
}

// Whoever opens the copy must know that the original may have gone on.
absl::Status MarkAsCopy(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(Database copy, Database::Open(path, kOpenFlags));
  return copy.Execute(
      absl::StrCat("PRAGMA synchronous = FULL; PRAGMA application_id = ", kCopyMark, ";"));
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  WATTLE_RETURN_IF_ERROR(RenameFile(from, to));
  const std::string parent = std::filesystem::path(to).parent_path().string();
  return SyncDirectory(parent.empty() ? "." : parent);
}

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(std::string path, LockFile lock, Database database)
      : path_(std::move(path)),
        lock_(std::move(lock)),
        database_(std::move(database)),
        tables_(&database_) {}

  absl::Status Load() {
    WATTLE_ASSIGN_OR_RETURN(
        const int64_t last,
        database_.Integer("SELECT max(coalesce((SELECT max(sequence) FROM events), 0), "
                          "coalesce((SELECT max(sequence) FROM snapshots), 0))"));
    last_sequence_ = last;
    WATTLE_ASSIGN_OR_RETURN(const int64_t mark, database_.Integer("PRAGMA application_id"));
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
    const absl::Status stored = database_.InTransaction([&]() -> absl::Status {
      WATTLE_RETURN_IF_ERROR(StoreAll(events));
      return opens ? database_.Execute("PRAGMA application_id = 0") : absl::OkStatus();
    });
    WATTLE_RETURN_IF_ERROR(stored);
    last_sequence_ = expected;
    is_copy_ = is_copy_ && !opens;
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<StoredSnapshot>> LatestSnapshot() override {
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        database_.Prepare(
            "SELECT sequence, checksum, state FROM snapshots ORDER BY sequence DESC LIMIT 1"));
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      return std::optional<StoredSnapshot>();
    }
    StoredSnapshot snapshot{.sequence = select.Integer(0), .bytes = select.Bytes(2)};
    if (Checksum(snapshot.bytes) != select.Integer(1)) {
      return absl::DataLossError(
          absl::StrCat(path_, ": snapshot ", snapshot.sequence, " is damaged; restore a backup"));
    }
    return std::optional<StoredSnapshot>(std::move(snapshot));
  }

  absl::Status Replay(int64_t after_sequence,
                      const std::function<absl::Status(const v1::Event&)>& take) override {
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        database_.Prepare(
            "SELECT sequence, event FROM events WHERE sequence > ? ORDER BY sequence"));
    select.Bind(after_sequence);
    int64_t expected = after_sequence;
    while (true) {
      WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) {
        return absl::OkStatus();
      }
      v1::Event event;
      ++expected;
      if (select.Integer(0) != expected || !event.ParseFromString(select.Bytes(1)) ||
          event.sequence() != expected) {
        return absl::DataLossError(
            absl::StrCat(path_, ": event ", expected, " is missing or damaged; restore a backup"));
      }
      if (event.event_case() == v1::Event::EVENT_NOT_SET) {
        return absl::FailedPreconditionError(
            absl::StrCat(path_, ": event ", expected,
                         " is of a kind that this version does not know; start the newer "
                         "wattle-coordinator that wrote it"));
      }
      WATTLE_RETURN_IF_ERROR(take(event));
    }
  }

  absl::Status WriteSnapshot(const StoredSnapshot& snapshot) override {
    WATTLE_ASSIGN_OR_RETURN(Statement insert,
                            database_.Prepare("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)"));
    WATTLE_RETURN_IF_ERROR(insert.Bind(snapshot.sequence)
                               .Bind(Checksum(snapshot.bytes))
                               .BindBytes(snapshot.bytes)
                               .Run());
    WATTLE_ASSIGN_OR_RETURN(const std::optional<StoredSnapshot> back, LatestSnapshot());
    if (!back.has_value() || back->sequence != snapshot.sequence || back->bytes != snapshot.bytes) {
      return absl::DataLossError(
          absl::StrCat(path_, ": snapshot ", snapshot.sequence, " reads back otherwise"));
    }
    // First copied, then deleted: a crash in between leaves events in both, which is harmless.
    WATTLE_RETURN_IF_ERROR(CopyToArchive(snapshot.sequence));
    return database_.InTransaction([&]() -> absl::Status {
      return database_.Execute(
          absl::StrCat("DELETE FROM events WHERE sequence <= ", snapshot.sequence,
                       "; DELETE FROM snapshots WHERE sequence < ", snapshot.sequence, ";"));
    });
  }

  absl::Status Backup(const std::string& destination) override {
    return BackupJournal(path_, destination);
  }

  [[nodiscard]] bool is_copy() const override { return is_copy_; }
  [[nodiscard]] int64_t last_sequence() const override { return last_sequence_; }

 private:
  absl::Status StoreAll(absl::Span<const v1::Event> events) {
    for (const v1::Event& event : events) {
      WATTLE_RETURN_IF_ERROR(tables_.Store(event));
    }
    return absl::OkStatus();
  }

  absl::Status CopyToArchive(int64_t up_to_sequence) {
    WATTLE_ASSIGN_OR_RETURN(Database archive, Database::Open(ArchivePath(path_), kOpenFlags));
    WATTLE_RETURN_IF_ERROR(Configure(archive));
    WATTLE_RETURN_IF_ERROR(archive.Execute(kArchiveSchema));
    WATTLE_RETURN_IF_ERROR(archive.Execute("BEGIN IMMEDIATE"));
    WATTLE_ASSIGN_OR_RETURN(Statement select,
                            database_.Prepare("SELECT sequence, at_unix_seconds, kind, event "
                                              "FROM events WHERE sequence <= ?"));
    WATTLE_ASSIGN_OR_RETURN(Statement insert,
                            archive.Prepare("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)"));
    select.Bind(up_to_sequence);
    while (true) {
      WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) {
        return archive.Execute("COMMIT");
      }
      WATTLE_RETURN_IF_ERROR(insert.Bind(select.Integer(0))
                                 .Bind(select.Real(1))
                                 .Bind(select.Bytes(2))
                                 .BindBytes(select.Bytes(3))
                                 .Run());
    }
  }

  std::string path_;
  LockFile lock_;
  Database database_;
  Tables tables_;
  std::atomic<int64_t> last_sequence_ = 0;
  bool is_copy_ = false;
};

}  // namespace

absl::Status BackupJournal(const std::string& path, const std::string& destination) {
  if (access(destination.c_str(), F_OK) == 0) {
    return absl::AlreadyExistsError(
        absl::StrCat(destination, ": exists; give a path that does not"));
  }
  const std::string partial = destination + ".partial";
  const std::string partial_archive = ArchivePath(destination) + ".partial";
  const absl::Cleanup remove = [&] {
    unlink(partial.c_str());
    unlink(partial_archive.c_str());
  };
  unlink(partial.c_str());
  unlink(partial_archive.c_str());
  // The archive last: it then has every event that the journal's copy lacks.
  WATTLE_RETURN_IF_ERROR(WithContext("backup", CopyDatabase(path, partial)));
  WATTLE_RETURN_IF_ERROR(WithContext("backup", MarkAsCopy(partial)));
  const bool archived = access(ArchivePath(path).c_str(), F_OK) == 0;
  if (archived) {
    WATTLE_RETURN_IF_ERROR(WithContext("backup", CopyDatabase(ArchivePath(path), partial_archive)));
    WATTLE_RETURN_IF_ERROR(RenameDurably(partial_archive, ArchivePath(destination)));
  }
  return RenameDurably(partial, destination);
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(LockFile lock, LockFile::Take(path + ".lock"));
  WATTLE_ASSIGN_OR_RETURN(Database database, Database::Open(path, kOpenFlags));
  const auto in_file = [&path](const absl::Status& status) { return WithContext(path, status); };
  if (absl::Status status = Configure(database); !status.ok()) {
    return in_file(status);
  }
  if (absl::Status status = PrepareSchema(database, path); !status.ok()) {
    return status;
  }
  auto journal = std::make_unique<SqliteJournal>(path, std::move(lock), std::move(database));
  if (absl::Status status = journal->Load(); !status.ok()) {
    return in_file(status);
  }
  return journal;
}

}  // namespace wattle::store
