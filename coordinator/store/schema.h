// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The journal's tables, and the conversion of a file of an earlier version. Each column's name ends
// with its unit. One thread at a time for each connection.
//
//   events         The log. crc: CRC32C of the event's bytes, chained to the previous event's crc.
//   snapshots      One row for each snapshot. verified 0: unfinished, or left by a crash.
//                  events_crc: the chain's value at the snapshot's event. digest: CRC32C over the
//                  snapshot's records.
//   snapshot_rows  The state, one record in each row.
//   archived_jobs  Ended jobs that left the state (history.h). job: the serialized v1.Job.
//   devices, jobs, attempts, energy_ledger, profiles
//                  For people. attempts.placement: the explanation, a serialized v1.Placement,
//                  which History reads.
#ifndef WATTLE_COORDINATOR_STORE_SCHEMA_H_
#define WATTLE_COORDINATOR_STORE_SCHEMA_H_

#include <string>

#include "absl/status/status.h"

#include "coordinator/store/sqlite.h"

namespace wattle::store {

// Makes, converts or checks the tables in one transaction. `path` is for messages. Errors:
// kFailedPrecondition for a file of a newer version; kDataLoss for a damaged one.
absl::Status PrepareSchema(Database& database, const std::string& path);
// PrepareSchema for the archive, which has only the table `events`. crc is NULL in events of
// version 1.
absl::Status PrepareArchiveSchema(Database& archive);

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_SCHEMA_H_
