// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an event changes in the tables (schema.h), within the transaction that appends it. One
// thread at a time.
#ifndef WATTLE_COORDINATOR_STORE_TABLES_H_
#define WATTLE_COORDINATOR_STORE_TABLES_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"

#include "coordinator/store/sqlite.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::store {

class Tables {
 public:
  // `database` outlives this object.
  explicit Tables(const Database* database) : database_(database) {}

  // Inserts the event and brings the tables up to it, within the caller's transaction. `chain`: crc
  // of the event before; becomes this event's. Errors: kAborted where the event's number exists
  // (another coordinator leads); kDataLoss where the tables do not agree with the events.
  absl::Status Store(const v1::Event& event, uint32_t& chain);

 private:
  absl::Status UpdateTables(const v1::Event& event);
  absl::Status On(const v1::JobSubmitted& job, const v1::Event& event);
  absl::Status On(const v1::JobStateChanged& job, const v1::Event& event);
  absl::Status On(const v1::JobArchived& archived);
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
  std::map<std::string, Statement> statements_;  // By their text.
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_TABLES_H_
