// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads data that has left the coordinator's state: ended jobs with their receipts, and the
// explanation of each placement. History reads the journal's committed data on its own connection,
// so that no commit waits for a reader. Thread-safe; one query at a time.
#ifndef WATTLE_COORDINATOR_STORE_HISTORY_H_
#define WATTLE_COORDINATOR_STORE_HISTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "units/id.h"
#include "wattle/v1/job.pb.h"

namespace wattle::store {

// Selects archived jobs. An empty list selects all.
struct HistoryQuery {
  int64_t before_number = 0;  // Only jobs with a lower number; 0: from the newest.
  int limit = 100;
  std::vector<v1::JobState> states = {};
  std::vector<std::string> owners = {};
  std::vector<std::string> kinds = {};
  double submitted_since_unix_seconds = 0;
};

class History {
 public:
  // Opens the history of the journal at `path`. vfs: see Journal::Open. REQUIRES: Journal::Open has
  // opened this file. Errors: those of Journal::Open.
  static absl::StatusOr<std::unique_ptr<History>> Open(const std::string& path,
                                                       const std::string& vfs = "");
  virtual ~History() = default;

  // An archived job without the explanations, which Explain adds. Errors: kNotFound; kDataLoss.
  virtual absl::StatusOr<v1::Job> Job(const JobId& job) = 0;
  // The archived job that was submitted with this key, if there is one.
  virtual absl::StatusOr<std::optional<JobId>> JobOfKey(absl::string_view idempotency_key) = 0;
  // The archived jobs of the query, newest first.
  virtual absl::StatusOr<std::vector<v1::Job>> Jobs(const HistoryQuery& query) = 0;
  // The numbers of the jobs, archived or open, of which an attempt ended on the device at that time
  // or later. Attempts that were lost in a restore and reported again by a device are not found.
  virtual absl::StatusOr<std::vector<int64_t>> JobsEndedOn(const DeviceId& device,
                                                           double since_unix_seconds) = 0;
  // Sets the placement of each attempt of the job as recorded in its event. The job may be archived
  // or open.
  virtual absl::Status Explain(v1::Job& job) = 0;
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_HISTORY_H_
