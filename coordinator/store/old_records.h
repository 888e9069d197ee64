// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Removes records that are older than the history is kept, so that the files of a coordinator stop
// growing: SQLite reuses the space of removed records. The journal's events that a start needs are
// never touched.
#ifndef WATTLE_COORDINATOR_STORE_OLD_RECORDS_H_
#define WATTLE_COORDINATOR_STORE_OLD_RECORDS_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "coordinator/store/sqlite.h"

namespace wattle::store {

// One small write between two commits.
using InTransaction = std::function<absl::Status(const std::function<absl::Status()>& body)>;

// Removes from the journal, with their attempts, the archived jobs that ended before `before`, and
// the ledgers from before. Each device keeps its latest ledger from before `before`, because the
// energy of a period is the difference of two ledgers. stop: checked between two transactions.
absl::Status RemoveOldRecords(Database& database, const InTransaction& in_transaction,
                              absl::Time before, const std::function<bool()>& stop);
// Removes the archive's oldest events up to the first one that is not from before `before`.
// archive: its path.
absl::Status RemoveOldEvents(const std::string& archive, const std::string& vfs, absl::Time before,
                             const std::function<bool()>& stop);

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_OLD_RECORDS_H_
