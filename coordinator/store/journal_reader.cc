// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/journal_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include <sqlite3.h>

#include "base/status_macros.h"
#include "coordinator/store/journal.h"

namespace wattle::store {
namespace {

constexpr char kLatestColumns[] =
    "SELECT device_id, CAST(at_unix_seconds / 86400 AS INTEGER) AS day, at_unix_seconds, "
    "attempt_energy_joules, idle_energy_joules, overhead_energy_joules, missing_energy_joules ";

struct KindsQuery {
  const std::vector<std::string>& kinds;
  double since_unix_seconds = 0;
  int64_t last_sequence = 0;
  int64_t limit = 0;
};

// The events in order, from rows of "SELECT sequence, event" with the newest first.
absl::StatusOr<std::vector<v1::Event>> EventsIn(Statement& select) {
  std::vector<v1::Event> events;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      std::reverse(events.begin(), events.end());
      return events;
    }
    if (!events.emplace_back().ParseFromString(select.Bytes(1))) {
      return absl::DataLossError(
          absl::StrCat("journal: event ", select.Integer(0), " is damaged; restore a backup"));
    }
  }
}

// Reads the journal or the archive, which have the same table, from the newest row back. Such
// queries are rare beside the fleet's work, so no index is kept for them.
absl::StatusOr<std::vector<v1::Event>> EventsOfKindsIn(Database& database,
                                                       const KindsQuery& query) {
  std::string wanted;
  for (size_t i = 0; i < query.kinds.size(); ++i) {
    absl::StrAppend(&wanted, i == 0 ? "?" : ", ?");
  }
  WATTLE_ASSIGN_OR_RETURN(
      Statement select,
      database.Prepare(absl::StrCat("SELECT sequence, event FROM events WHERE kind IN (", wanted,
                                    ") AND at_unix_seconds >= ? AND sequence <= ? "
                                    "ORDER BY sequence DESC LIMIT ?")));
  for (const std::string& kind : query.kinds) {
    select.Bind(kind);
  }
  select.Bind(query.since_unix_seconds).Bind(query.last_sequence).Bind(query.limit);
  return EventsIn(select);
}

}  // namespace

absl::StatusOr<std::unique_ptr<JournalReader>> JournalReader::Open(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(Database database,
                          Database::Open(path, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX));
  return std::unique_ptr<JournalReader>(
      new JournalReader(std::move(database), absl::StrCat(path, kArchiveSuffix)));
}

absl::StatusOr<std::vector<v1::Event>> JournalReader::Events(int64_t after_sequence,
                                                             int64_t last_sequence, int64_t limit) {
  absl::MutexLock lock(&mutex_);
  WATTLE_ASSIGN_OR_RETURN(
      Statement select,
      database_.Prepare("SELECT sequence, event FROM events WHERE sequence > ? AND sequence <= ? "
                        "ORDER BY sequence DESC LIMIT ?"));
  select.Bind(after_sequence).Bind(last_sequence).Bind(limit);
  return EventsIn(select);
}

absl::StatusOr<std::vector<v1::Event>> JournalReader::EventsOfKinds(
    const std::vector<std::string>& kinds, double since_unix_seconds, int64_t last_sequence,
    int64_t limit) {
  KindsQuery query = {kinds, since_unix_seconds, last_sequence, limit};
  std::vector<v1::Event> events;
  {
    absl::MutexLock lock(&mutex_);
    WATTLE_ASSIGN_OR_RETURN(events, EventsOfKindsIn(database_, query));
  }
  query.limit -= static_cast<int64_t>(events.size());
  if (query.limit == 0 || access(archive_path_.c_str(), F_OK) != 0) {
    return events;
  }
  // Events move from the journal to the archive, which is read last: no event is missed between the
  // two, and events in both are returned once.
  if (!events.empty()) {
    query.last_sequence = events.front().sequence() - 1;
  }
  WATTLE_ASSIGN_OR_RETURN(
      Database archive, Database::Open(archive_path_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX));
  WATTLE_ASSIGN_OR_RETURN(std::vector<v1::Event> archived, EventsOfKindsIn(archive, query));
  archived.insert(archived.end(), std::make_move_iterator(events.begin()),
                  std::make_move_iterator(events.end()));
  return archived;
}

// The query takes one step through the primary key for each device, then goes back from the
// device's newest row. Only rows after `unix_seconds` are read, not the device's whole history.
absl::StatusOr<std::vector<LedgerAt>> JournalReader::LedgersBefore(double unix_seconds) {
  return Ledgers(
      absl::StrCat("WITH RECURSIVE ids(id) AS (SELECT min(device_id) FROM energy_ledger UNION ALL "
                   "SELECT (SELECT min(device_id) FROM energy_ledger WHERE device_id > ids.id) "
                   "FROM ids WHERE ids.id IS NOT NULL) ",
                   kLatestColumns,
                   "FROM ids CROSS JOIN energy_ledger ON device_id = ids.id AND sequence = (SELECT "
                   "sequence FROM energy_ledger AS e WHERE e.device_id = ids.id AND "
                   "+e.at_unix_seconds < ?1 ORDER BY sequence DESC LIMIT 1) "
                   "WHERE ids.id IS NOT NULL AND ?2 = 0 ORDER BY device_id"),
      unix_seconds, 0.0);
}

absl::StatusOr<std::vector<LedgerAt>> JournalReader::LedgersByDay(double from_unix_seconds,
                                                                  double until_unix_seconds) {
  // With max() among the columns SQLite takes the other columns from the row of the maximum
  // (sqlite.org/lang_select.html, "Bare columns in an aggregate query").
  return Ledgers(absl::StrCat(kLatestColumns,
                              ", max(sequence) FROM energy_ledger INDEXED BY energy_ledger_by_time "
                              "WHERE at_unix_seconds >= ?1 AND at_unix_seconds < ?2 "
                              "GROUP BY device_id, day ORDER BY day, device_id"),
                 from_unix_seconds, until_unix_seconds);
}

absl::StatusOr<std::vector<LedgerAt>> JournalReader::Ledgers(const std::string& sql, double first,
                                                             double second) {
  absl::MutexLock lock(&mutex_);
  WATTLE_ASSIGN_OR_RETURN(Statement select, database_.Prepare(sql));
  select.Bind(first).Bind(second);
  std::vector<LedgerAt> ledgers;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) {
      return ledgers;
    }
    LedgerAt& at = ledgers.emplace_back();
    at.device_id = select.Bytes(0);
    at.day = select.Integer(1);
    at.ledger.set_at_unix_seconds(select.Real(2));
    at.ledger.set_attempt_energy_joules(select.Real(3));
    at.ledger.set_idle_energy_joules(select.Real(4));
    at.ledger.set_overhead_energy_joules(select.Real(5));
    at.ledger.set_missing_energy_joules(select.Real(6));
  }
}

}  // namespace wattle::store
