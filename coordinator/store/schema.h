// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The journal's tables, and how a file of an earlier version becomes one of this version. Every
// unit stands in a column's name. One thread at a time for each connection.
//
//   events         the log. crc: CRC32C of the event's bytes, chained to the crc of the event
//   before. snapshots      one line for each snapshot; verified 0: still being written, or left by
//   a crash.
//                  events_crc: the chain at its event. digest: CRC32C over the records of its rows.
//   snapshot_rows  the state, one record in each row.
//   archived_jobs  ended jobs that left the state (history.h). job: the serialized v1.Job.
//   devices, jobs, attempts, energy_ledger, profiles: for people. attempts.placement: the
//                  explanation, a serialized v1.Placement, which History reads.
#ifndef WATTLE_COORDINATOR_STORE_SCHEMA_H_
#define WATTLE_COORDINATOR_STORE_SCHEMA_H_

#include <string>

#include "absl/status/status.h"

#include "coordinator/store/sqlite.h"

namespace wattle::store {

// Makes, converts or checks the tables, in one transaction. `path` is for messages. Errors:
// kFailedPrecondition for a file of a newer version; kDataLoss for a damaged one.
absl::Status PrepareSchema(Database& database, const std::string& path);
// The same for the archive, which has the table events alone; crc is NULL in events of version 1.
absl::Status PrepareArchiveSchema(Database& archive);

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_SCHEMA_H_
