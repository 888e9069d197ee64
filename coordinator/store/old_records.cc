// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/old_records.h"

#include <cstdint>
#include <vector>

#include <sqlite3.h>

#include "base/status_macros.h"
#include "coordinator/store/schema.h"

namespace wattle::store {
namespace {

// A commit may have to wait for one transaction of this size, which takes a few milliseconds.
constexpr int64_t kRecordsRemovedAtOnce = 200;

// A job that was converted from an earlier version has no row in `jobs`: its submission time
// counts.
constexpr char kOldJobs[] =
    "SELECT a.number FROM archived_jobs AS a LEFT JOIN jobs AS j ON j.job_id = 'j' || a.number "
    "WHERE COALESCE(j.finished_unix_seconds, a.submitted_unix_seconds) < ? LIMIT ?";
constexpr char kOldLedgers[] =
    "DELETE FROM energy_ledger WHERE (device_id, sequence) IN (SELECT device_id, sequence FROM "
    "energy_ledger AS old WHERE at_unix_seconds < ?1 AND sequence < (SELECT max(sequence) FROM "
    "energy_ledger AS latest WHERE latest.device_id = old.device_id AND latest.at_unix_seconds < "
    "?1) LIMIT ?2)";

absl::StatusOr<std::vector<int64_t>> OldJobs(Database& database, absl::Time before) {
  WATTLE_ASSIGN_OR_RETURN(Statement select, database.Prepare(kOldJobs));
  select.Bind(absl::ToDoubleSeconds(before - absl::UnixEpoch())).Bind(kRecordsRemovedAtOnce);
  std::vector<int64_t> numbers;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      return numbers;
    }
    numbers.push_back(select.Integer(0));
  }
}

absl::Status RemoveJobs(Database& database, const std::vector<int64_t>& numbers) {
  WATTLE_ASSIGN_OR_RETURN(Statement attempts,
                          database.Prepare("DELETE FROM attempts WHERE job_id = 'j' || ?"));
  WATTLE_ASSIGN_OR_RETURN(Statement jobs,
                          database.Prepare("DELETE FROM jobs WHERE job_id = 'j' || ?"));
  WATTLE_ASSIGN_OR_RETURN(Statement archived,
                          database.Prepare("DELETE FROM archived_jobs WHERE number = ?"));
  for (const int64_t number : numbers) {
    for (Statement* remove : {&attempts, &jobs, &archived}) {
      WATTLE_RETURN_IF_ERROR(remove->Bind(number).Run());
    }
  }
  return absl::OkStatus();
}

// Removes rows until none is left. remove: takes the time in Unix seconds, then the number of rows.
absl::Status RemoveRows(Database& database, const InTransaction& in_transaction, const char* remove,
                        absl::Time before, const std::function<bool()>& stop) {
  int removed = 0;
  do {
    WATTLE_RETURN_IF_ERROR(in_transaction([&]() -> absl::Status {
      WATTLE_ASSIGN_OR_RETURN(Statement rows, database.Prepare(remove));
      rows.Bind(absl::ToDoubleSeconds(before - absl::UnixEpoch())).Bind(kRecordsRemovedAtOnce);
      absl::Status done = rows.Run();
      removed = sqlite3_changes(database.get());
      return done;
    }));
  } while (removed > 0 && !stop());
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveOldRecords(Database& database, const InTransaction& in_transaction,
                              absl::Time before, const std::function<bool()>& stop) {
  while (!stop()) {
    WATTLE_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, OldJobs(database, before));
    if (numbers.empty()) {
      break;
    }
    WATTLE_RETURN_IF_ERROR(in_transaction([&] { return RemoveJobs(database, numbers); }));
  }
  return RemoveRows(database, in_transaction, kOldLedgers, before, stop);
}

absl::Status RemoveOldEvents(const std::string& archive, const std::string& vfs, absl::Time before,
                             const std::function<bool()>& stop) {
  WATTLE_ASSIGN_OR_RETURN(
      Database database,
      Database::Open(archive, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                     vfs));
  WATTLE_RETURN_IF_ERROR(PrepareArchiveSchema(database));
  // Reads only the first events, because the archive is large and has no index by time.
  return RemoveRows(
      database, [&](const auto& body) { return database.InTransaction(body); },
      "DELETE FROM events WHERE sequence IN (SELECT sequence FROM (SELECT sequence, "
      "at_unix_seconds FROM events ORDER BY sequence LIMIT ?2) WHERE at_unix_seconds < ?1)",
      before, stop);
}

}  // namespace wattle::store
