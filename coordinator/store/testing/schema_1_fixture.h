// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a journal file as version 1 of the schema (Wattle 0.1.0) left it, with one snapshot
// and the events after it.
#ifndef WATTLE_COORDINATOR_STORE_TESTING_SCHEMA_1_FIXTURE_H_
#define WATTLE_COORDINATOR_STORE_TESTING_SCHEMA_1_FIXTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include <sqlite3.h>

#include "base/status_macros.h"
#include "coordinator/store/sqlite.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::store {

inline constexpr char kSchema1[] = R"sql(
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY, at_unix_seconds REAL NOT NULL, kind TEXT NOT NULL, event BLOB NOT NULL);
CREATE TABLE snapshots (
  sequence INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, state BLOB NOT NULL);
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
  run_seconds REAL, run_energy_joules REAL, total_energy_joules REAL, energy_source TEXT);
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
PRAGMA user_version = 1;
)sql";

// The checksum of a version 1 snapshot: FNV-1a, 64 bits (draft-eastlake-fnv).
inline int64_t Schema1Checksum(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  }
  return static_cast<int64_t>(hash);
}

// Makes the file `path` with the snapshot `state` of the event before `events`.
inline absl::Status MakeSchema1(const std::string& path, absl::string_view state, int64_t checksum,
                                const std::vector<v1::Event>& events) {
  WATTLE_ASSIGN_OR_RETURN(Database database,
                          Database::Open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  WATTLE_RETURN_IF_ERROR(database.Execute(kSchema1));
  WATTLE_ASSIGN_OR_RETURN(Statement event,
                          database.Prepare("INSERT INTO events VALUES (?, ?, 'a kind', ?)"));
  for (const v1::Event& one : events) {
    WATTLE_RETURN_IF_ERROR(event.Bind(one.sequence())
                               .Bind(one.at_unix_seconds())
                               .BindBytes(one.SerializeAsString())
                               .Run());
  }
  WATTLE_ASSIGN_OR_RETURN(Statement snapshot,
                          database.Prepare("INSERT INTO snapshots VALUES (?, ?, ?)"));
  return snapshot.Bind(events.front().sequence() - 1).Bind(checksum).BindBytes(state).Run();
}

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_TESTING_SCHEMA_1_FIXTURE_H_
