// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads the journal's tables for reports and lists, on its own connection, so that no commit waits.
// Thread-safe; one query at a time.
#ifndef WATTLE_COORDINATOR_STORE_JOURNAL_READER_H_
#define WATTLE_COORDINATOR_STORE_JOURNAL_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "coordinator/store/sqlite.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::store {

// A device's cumulative joules at the end of a span.
struct LedgerAt {
  std::string device_id;
  int64_t day = 0;  // The record's day: days since 1970-01-01, UTC.
  v1::EnergyLedger ledger;
};

class JournalReader {
 public:
  // Opens a reader of the journal at `path`. REQUIRES: Journal::Open has opened this file. Errors:
  // those of StatusOfDatabase.
  static absl::StatusOr<std::unique_ptr<JournalReader>> Open(const std::string& path);

  // The events with a number above `after_sequence` and at most `last_sequence`, in order; at most
  // the latest `limit` of them. Events that a snapshot has moved to the archive are left out.
  // Errors: kDataLoss for an unreadable event.
  absl::StatusOr<std::vector<v1::Event>> Events(int64_t after_sequence, int64_t last_sequence,
                                                int64_t limit);
  // Events of only these kinds (proto/kind_name.h), not older than `since_unix_seconds`, including
  // the archive. Reads the archive only up to the limit.
  absl::StatusOr<std::vector<v1::Event>> EventsOfKinds(const std::vector<std::string>& kinds,
                                                       double since_unix_seconds,
                                                       int64_t last_sequence, int64_t limit);
  // Each device's last record before `unix_seconds`. A device without such a record is left out.
  absl::StatusOr<std::vector<LedgerAt>> LedgersBefore(double unix_seconds);
  // Each device's last record of each day of the span, in ascending order of days.
  absl::StatusOr<std::vector<LedgerAt>> LedgersByDay(double from_unix_seconds,
                                                     double until_unix_seconds);

 private:
  JournalReader(Database database, std::string archive_path)
      : archive_path_(std::move(archive_path)), database_(std::move(database)) {}
  absl::StatusOr<std::vector<LedgerAt>> Ledgers(const std::string& sql, double first,
                                                double second);

  const std::string archive_path_;
  absl::Mutex mutex_;
  Database database_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_JOURNAL_READER_H_
