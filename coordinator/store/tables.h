// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The journal's schema, and the plain tables that an event changes in the same transaction. They
// are for queries by people; the coordinator itself never reads them. One thread at a time.
#ifndef WATTLE_COORDINATOR_STORE_TABLES_H_
#define WATTLE_COORDINATOR_STORE_TABLES_H_

#include <map>
#include <string>

#include "absl/status/status.h"

#include "coordinator/store/sqlite.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::store {

// PRAGMA user_version. A higher one than ours is refused at open.
inline constexpr int kSchemaVersion = 1;

// Statements that make an empty journal, and an empty archive.
extern const char* const kJournalSchema;
extern const char* const kArchiveSchema;

class Tables {
 public:
  // `database` outlives this object.
  explicit Tables(const Database* database) : database_(database) {}

  // Inserts the event and brings the tables up to it. Within the caller's transaction. Errors:
  // kAborted where the event's number exists (another coordinator leads); kDataLoss where the
  // tables do not agree with the events.
  absl::Status Store(const v1::Event& event);

 private:
  absl::Status UpdateTables(const v1::Event& event);
  absl::Status On(const v1::JobSubmitted& job, const v1::Event& event);
  absl::Status On(const v1::JobStateChanged& job, const v1::Event& event);
  absl::Status On(const v1::AttemptPlaced& placed, const v1::Event& event);
  absl::Status On(const v1::AttemptAdopted& adopted, const v1::Event& event);
  absl::Status On(const v1::AttemptStateChanged& changed, const v1::Event& event);
  absl::Status On(const v1::DeviceRegistered& registered, const v1::Event& event);
  absl::Status On(const v1::LedgerRecorded& recorded, const v1::Event& event);
  absl::Status On(const v1::ProfileUpdated& updated, const v1::Event& event);
  absl::Status SetDrained(const std::string& device_id, bool drained);
  // Prepared once. Errors: as Database::Prepare.
  absl::StatusOr<Statement*> Prepared(const std::string& sql);

  const Database* database_;
  std::map<std::string, Statement> statements_;  // by their text
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_TABLES_H_
