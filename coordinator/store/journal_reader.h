// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A look at the journal's tables for reports and lists, on a connection of its own: no commit waits
// for it. Thread-safe; one query at a time.
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

// A device's cumulative joules as they stood at the end of a span.
struct LedgerAt {
  std::string device_id;
  int64_t day = 0;  // Days since 1970-01-01, UTC; of the record.
  v1::EnergyLedger ledger;
};

class JournalReader {
 public:
  // Of the journal at `path`, which must be open already. Errors: as StatusOfDatabase.
  static absl::StatusOr<std::unique_ptr<JournalReader>> Open(const std::string& path);

  // The latest `limit` of the events with a number above `after_sequence` and at most
  // `last_sequence`, in order; without those that a snapshot has sent to the archive. kDataLoss for
  // one that cannot be read.
  absl::StatusOr<std::vector<v1::Event>> Events(int64_t after_sequence, int64_t last_sequence,
                                                int64_t limit);
  // For each device its last record before `unix_seconds`. Devices without one are left out.
  absl::StatusOr<std::vector<LedgerAt>> LedgersBefore(double unix_seconds);
  // For each device and each day of the span its last record of that day within the span; ascending
  // in days.
  absl::StatusOr<std::vector<LedgerAt>> LedgersByDay(double from_unix_seconds,
                                                     double until_unix_seconds);

 private:
  explicit JournalReader(Database database) : database_(std::move(database)) {}
  absl::StatusOr<std::vector<LedgerAt>> Ledgers(const std::string& sql, double first,
                                                double second);

  absl::Mutex mutex_;
  Database database_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_JOURNAL_READER_H_
