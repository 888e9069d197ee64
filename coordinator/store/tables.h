// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Applies an event to the tables (schema.h), in the transaction that appends the event. One thread
// at a time.
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

  // Inserts the event and updates the tables, in the caller's transaction. `chain` is the previous
  // event's crc, and becomes this event's crc. Errors: kAborted when the event's number exists,
  // because another coordinator leads; kDataLoss when the tables contradict the events.
  absl::Status Store(const v1::Event& event, uint32_t& chain);

 private:
  // Update the tables as the event says.
  absl::Status On(const v1::JobSubmitted& job, const v1::Event& event);
  absl::Status On(const v1::JobStateChanged& job, const v1::Event& event);
  absl::Status On(const v1::JobArchived& archived, const v1::Event& event);
  absl::Status On(const v1::AttemptPlaced& placed, const v1::Event& event);
  absl::Status On(const v1::AttemptAdopted& adopted, const v1::Event& event);
  absl::Status On(const v1::AttemptStateChanged& changed, const v1::Event& event);
  absl::Status On(const v1::DeviceRegistered& registered, const v1::Event& event);
  absl::Status On(const v1::LedgerRecorded& recorded, const v1::Event& event);
  absl::Status On(const v1::ProfileUpdated& updated, const v1::Event& event);
  absl::Status On(const v1::DeviceDrained& drained, const v1::Event& /*event*/) {
    return SetDrained(drained.device_id(), true);
  }
  absl::Status On(const v1::DeviceResumed& resumed, const v1::Event& /*event*/) {
    return SetDrained(resumed.device_id(), false);
  }
  // No table has what another event says.
  template <typename Fact>
  static absl::Status On(const Fact& /*fact*/, const v1::Event& /*event*/) {
    return absl::OkStatus();
  }
  absl::Status SetDrained(const std::string& device_id, bool drained);
  // The statement of this text, prepared once. Errors: those of Database::Prepare.
  absl::StatusOr<Statement*> Prepared(const std::string& sql);

  const Database* database_;
  std::map<std::string, Statement> statements_;  // Key: the statement's text.
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_TABLES_H_
