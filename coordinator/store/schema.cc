// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/schema.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "base/crc32c.h"
#include "base/status_macros.h"

namespace wattle::store {
namespace {

constexpr int kSchemaVersion = 2;

const char* const kTables = R"sql(
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY, at_unix_seconds REAL NOT NULL, kind TEXT NOT NULL, event BLOB NOT NULL,
  crc INTEGER NOT NULL);
CREATE TABLE devices (
  device_id TEXT PRIMARY KEY, name TEXT, device_class TEXT, emulated INTEGER, drained INTEGER NOT NULL DEFAULT 0,
  incarnation INTEGER, memory_bytes INTEGER, battery_capacity_wh REAL, registered_unix_seconds REAL);
CREATE TABLE jobs (
  job_id TEXT PRIMARY KEY, name TEXT, owner TEXT, kind TEXT, objective TEXT, state TEXT, reason TEXT,
  submitted_unix_seconds REAL, finished_unix_seconds REAL, output_artifact_id TEXT);
CREATE TABLE attempts (
  attempt_id TEXT PRIMARY KEY, job_id TEXT NOT NULL, device_id TEXT NOT NULL, fencing_token INTEGER NOT NULL,
  state TEXT NOT NULL, reason TEXT, placed_unix_seconds REAL, ended_unix_seconds REAL, lease_seconds REAL,
  predicted_run_seconds REAL, predicted_run_energy_joules REAL,
  run_seconds REAL, run_energy_joules REAL, total_energy_joules REAL, energy_source TEXT,
  placement BLOB);
CREATE INDEX attempts_by_job ON attempts (job_id);
CREATE TABLE energy_ledger (
  device_id TEXT NOT NULL, sequence INTEGER NOT NULL, at_unix_seconds REAL NOT NULL,
  attempt_energy_joules REAL, idle_energy_joules REAL, overhead_energy_joules REAL, missing_energy_joules REAL,
  PRIMARY KEY (device_id, sequence)) WITHOUT ROWID;
CREATE TABLE profiles (
  device_class TEXT NOT NULL, device_id TEXT NOT NULL, emulated INTEGER NOT NULL, power_mode TEXT NOT NULL,
  signature BLOB NOT NULL, unit TEXT NOT NULL, method TEXT, batch_size INTEGER, sequence_length INTEGER,
  seconds_per_unit REAL, power_watts REAL, energy_joules_per_unit REAL, observations INTEGER, updated_unix_seconds REAL,
  PRIMARY KEY (device_class, device_id, emulated, power_mode, signature, unit)) WITHOUT ROWID;
)sql";

// Added in version 2.
const char* const kSnapshotsAndHistory = R"sql(
CREATE TABLE snapshots (
  sequence INTEGER PRIMARY KEY, events_crc INTEGER NOT NULL, row_count INTEGER NOT NULL, digest INTEGER NOT NULL,
  verified INTEGER NOT NULL);
CREATE TABLE snapshot_rows (
  sequence INTEGER NOT NULL, row INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (sequence, row));
CREATE TABLE archived_jobs (
  number INTEGER PRIMARY KEY, idempotency_key TEXT NOT NULL, state INTEGER NOT NULL, owner TEXT NOT NULL,
  kind TEXT NOT NULL, submitted_unix_seconds REAL NOT NULL, job BLOB NOT NULL);
CREATE INDEX archived_jobs_by_key ON archived_jobs (idempotency_key);
CREATE INDEX archived_jobs_by_state ON archived_jobs (state, number);
)sql";

// The checksum of version 1's snapshots: FNV-1a, 64 bits (draft-eastlake-fnv).
int64_t ChecksumOfVersion1(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  }
  return static_cast<int64_t>(hash);
}

// Gives the events that a version 1 journal still has their chained checksums, starting from 0.
absl::Status ChainEvents(Database& database) {
  WATTLE_RETURN_IF_ERROR(
      database.Execute("ALTER TABLE events ADD COLUMN crc INTEGER NOT NULL DEFAULT 0"));
  WATTLE_ASSIGN_OR_RETURN(Statement select,
                          database.Prepare("SELECT sequence, event FROM events ORDER BY sequence"));
  std::vector<std::pair<int64_t, uint32_t>> chain;
  uint32_t crc = 0;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      break;
    }
    crc = ExtendCrc32c(crc, select.Bytes(1));
    chain.emplace_back(select.Integer(0), crc);
  }
  WATTLE_ASSIGN_OR_RETURN(Statement update,
                          database.Prepare("UPDATE events SET crc = ? WHERE sequence = ?"));
  for (const auto& [sequence, value] : chain) {
    WATTLE_RETURN_IF_ERROR(update.Bind(int64_t{value}).Bind(sequence).Run());
  }
  return absl::OkStatus();
}

// A snapshot of version 1 is one blob: the message of the whole state. This message is also a valid
// snapshot of one row.
absl::Status ConvertSnapshots(Database& database, const std::string& path) {
  WATTLE_RETURN_IF_ERROR(database.Execute("ALTER TABLE snapshots RENAME TO snapshots_1"));
  WATTLE_RETURN_IF_ERROR(database.Execute(kSnapshotsAndHistory));
  {
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        database.Prepare(
            "SELECT sequence, checksum, state, coalesce((SELECT crc FROM events e "
            "WHERE e.sequence = s.sequence), 0) FROM snapshots_1 s ORDER BY sequence"));
    WATTLE_ASSIGN_OR_RETURN(Statement insert,
                            database.Prepare("INSERT INTO snapshots VALUES (?, ?, 1, ?, 1)"));
    WATTLE_ASSIGN_OR_RETURN(Statement insert_row,
                            database.Prepare("INSERT INTO snapshot_rows VALUES (?, 0, ?)"));
    while (true) {
      WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) {
        break;
      }
      const std::string state = select.Bytes(2);
      if (ChecksumOfVersion1(state) != select.Integer(1)) {
        return absl::DataLossError(
            absl::StrCat(path, ": snapshot ", select.Integer(0), " is damaged; restore a backup"));
      }
      WATTLE_RETURN_IF_ERROR(insert.Bind(select.Integer(0))
                                 .Bind(select.Integer(3))
                                 .Bind(int64_t{Crc32c(state)})
                                 .Run());
      WATTLE_RETURN_IF_ERROR(insert_row.Bind(select.Integer(0)).BindBytes(state).Run());
    }
  }
  return database.Execute("DROP TABLE snapshots_1");
}

absl::Status MigrateFrom1(Database& database, const std::string& path) {
  WATTLE_RETURN_IF_ERROR(ChainEvents(database));
  WATTLE_RETURN_IF_ERROR(ConvertSnapshots(database, path));
  return database.Execute("ALTER TABLE attempts ADD COLUMN placement BLOB");
}

// An index changes no content, so it needs no schema version: an older program still reads the
// file.
absl::Status AddIndexes(Database& database) {
  return database.Execute(
      "CREATE INDEX IF NOT EXISTS energy_ledger_by_time ON energy_ledger (at_unix_seconds);"
      "CREATE INDEX IF NOT EXISTS attempts_by_device ON attempts (device_id, ended_unix_seconds)");
}

absl::Status Make(Database& database) {
  WATTLE_RETURN_IF_ERROR(database.Execute(kTables));
  return database.Execute(kSnapshotsAndHistory);
}

}  // namespace

absl::Status PrepareSchema(Database& database, const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const int64_t version, database.Integer("PRAGMA user_version"));
  if (version == kSchemaVersion) {
    return AddIndexes(database);
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": schema version ", version, ", this program knows ", kSchemaVersion,
                     "; start the newer wattle-coordinator that wrote it, or restore a backup"));
  }
  return database.InTransaction([&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(version == 0 ? Make(database) : MigrateFrom1(database, path));
    WATTLE_RETURN_IF_ERROR(AddIndexes(database));
    return database.Execute(absl::StrCat("PRAGMA user_version = ", kSchemaVersion));
  });
}

absl::Status PrepareArchiveSchema(Database& archive) {
  WATTLE_RETURN_IF_ERROR(archive.Execute(
      "CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY, at_unix_seconds REAL NOT "
      "NULL, kind TEXT NOT NULL, event BLOB NOT NULL, crc INTEGER)"));
  WATTLE_ASSIGN_OR_RETURN(
      const int64_t has_crc,
      archive.Integer("SELECT count(*) FROM pragma_table_info('events') WHERE name = 'crc'"));
  return has_crc > 0 ? absl::OkStatus()
                     : archive.Execute("ALTER TABLE events ADD COLUMN crc INTEGER");
}

}  // namespace wattle::store
