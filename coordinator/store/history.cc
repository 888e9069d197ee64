// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/history.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include <sqlite3.h>

#include "base/status_macros.h"
#include "coordinator/store/sqlite.h"
#include "proto/state_names.h"

namespace wattle::store {
namespace {

// "j12" → 12; 0 for any other text.
int64_t NumberOf(const JobId& job) {
  absl::string_view digits = job.value();
  int64_t number = 0;
  return absl::ConsumePrefix(&digits, "j") && absl::SimpleAtoi(digits, &number) ? number : 0;
}

absl::StatusOr<v1::Job> ParseJob(int64_t number, const std::string& bytes) {
  v1::Job job;
  if (!job.ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat("history: job j", number, " is damaged; restore a backup"));
  }
  return job;
}

// " AND column IN (?, ?)", or nothing.
std::string Among(absl::string_view column, size_t values) {
  return values == 0 ? ""
                     : absl::StrCat(
                           " AND ", column, " IN (",
                           absl::StrJoin(std::vector<char>(values, '?'), ", ",
                                         [](std::string* out, char mark) { out->push_back(mark); }),
                           ")");
}

// The ended states that the query names; empty if the query names none.
std::vector<v1::JobState> EndedStates(const HistoryQuery& query) {
  std::vector<v1::JobState> ended;
  for (const v1::JobState state :
       {v1::JOB_STATE_SUCCEEDED, v1::JOB_STATE_FAILED, v1::JOB_STATE_CANCELLED}) {
    if (std::find(query.states.begin(), query.states.end(), state) != query.states.end()) {
      ended.push_back(state);
    }
  }
  return ended;
}

class SqliteHistory final : public History {
 public:
  explicit SqliteHistory(Database database) : database_(std::move(database)) {}

  absl::StatusOr<v1::Job> Job(const JobId& job) override {
    absl::MutexLock lock(&mutex_);
    const int64_t number = NumberOf(job);
    WATTLE_ASSIGN_OR_RETURN(Statement select,
                            database_.Prepare("SELECT job FROM archived_jobs WHERE number = ?"));
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Bind(number).Step());
    if (!row || absl::StrCat("j", number) != job.value()) {
      return absl::NotFoundError(
          absl::StrCat("job \"", job.value(), "\" is not known; 'wattle jobs' lists the jobs"));
    }
    return ParseJob(number, select.Bytes(0));
  }

  absl::StatusOr<std::optional<JobId>> JobOfKey(absl::string_view idempotency_key) override {
    absl::MutexLock lock(&mutex_);
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        database_.Prepare("SELECT number FROM archived_jobs WHERE idempotency_key = ?"));
    WATTLE_ASSIGN_OR_RETURN(const bool row, select.Bind(idempotency_key).Step());
    return row ? std::optional<JobId>(JobId(absl::StrCat("j", select.Integer(0)))) : std::nullopt;
  }

  absl::StatusOr<std::vector<v1::Job>> Jobs(const HistoryQuery& query) override {
    absl::MutexLock lock(&mutex_);
    const std::vector<v1::JobState> states = EndedStates(query);
    if (states.empty() && !query.states.empty()) {
      return std::vector<v1::Job>();  // The query names only states that no archived job has.
    }
    // One query per state walks the index (state, number) in order. One query for several states
    // would sort all matching rows.
    std::map<int64_t, v1::Job, std::greater<>> found;
    if (states.empty() || states.size() == 3) {
      WATTLE_RETURN_IF_ERROR(Collect(query, v1::JOB_STATE_UNSPECIFIED, found));
    } else {
      for (const v1::JobState state : states) {
        WATTLE_RETURN_IF_ERROR(Collect(query, state, found));
      }
    }
    std::vector<v1::Job> jobs;
    for (auto& [number, job] : found) {
      if (jobs.size() < static_cast<size_t>(query.limit)) {
        jobs.push_back(std::move(job));
      }
    }
    return jobs;
  }

  absl::StatusOr<std::vector<int64_t>> JobsEndedOn(const DeviceId& device,
                                                   double since_unix_seconds) override {
    absl::MutexLock lock(&mutex_);
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        database_.Prepare("SELECT DISTINCT job_id FROM attempts WHERE device_id = ? AND "
                          "ended_unix_seconds >= ?"));
    select.Bind(device.value()).Bind(since_unix_seconds);
    std::vector<int64_t> numbers;
    while (true) {
      WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) {
        return numbers;
      }
      numbers.push_back(NumberOf(JobId(select.Bytes(0))));
    }
  }

  absl::Status Explain(v1::Job& job) override {
    absl::MutexLock lock(&mutex_);
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        database_.Prepare("SELECT attempt_id, placement FROM attempts WHERE job_id = ?"));
    select.Bind(job.job_id());
    std::map<std::string, std::string> placements;
    while (true) {
      WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) {
        break;
      }
      if (!select.IsNull(1)) {  // NULL: an older version, which did not keep placements, placed it.
        placements[select.Bytes(0)] = select.Bytes(1);
      }
    }
    for (v1::Attempt& attempt : *job.mutable_attempts()) {
      const auto placement = placements.find(attempt.attempt_id());
      if (placement != placements.end() &&
          !attempt.mutable_placement()->ParseFromString(placement->second)) {
        return absl::DataLossError(absl::StrCat("history: the placement of ", attempt.attempt_id(),
                                                " is damaged; restore a backup"));
      }
    }
    return absl::OkStatus();
  }

 private:
  // Collects the newest jobs of one state, up to the query's limit. Unspecified: all states.
  absl::Status Collect(const HistoryQuery& query, v1::JobState state,
                       std::map<int64_t, v1::Job, std::greater<>>& found)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    WATTLE_ASSIGN_OR_RETURN(
        Statement select,
        database_.Prepare(absl::StrCat(
            "SELECT number, job FROM archived_jobs WHERE number < ? AND submitted_unix_seconds >= "
            "?",
            state == v1::JOB_STATE_UNSPECIFIED ? "" : absl::StrCat(" AND state = ", state),
            Among("owner", query.owners.size()), Among("kind", query.kinds.size()),
            " ORDER BY number DESC LIMIT ", query.limit)));
    select.Bind(query.before_number > 0 ? query.before_number : std::numeric_limits<int64_t>::max())
        .Bind(query.submitted_since_unix_seconds);
    for (const std::string& owner : query.owners) {
      select.Bind(owner);
    }
    for (const std::string& kind : query.kinds) {
      select.Bind(kind);
    }
    while (true) {
      WATTLE_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) {
        return absl::OkStatus();
      }
      const int64_t number = select.Integer(0);
      WATTLE_ASSIGN_OR_RETURN(found[number], ParseJob(number, select.Bytes(1)));
    }
  }

  absl::Mutex mutex_;
  Database database_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<History>> History::Open(const std::string& path,
                                                       const std::string& vfs) {
  WATTLE_ASSIGN_OR_RETURN(Database database,
                          Database::Open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs));
  WATTLE_RETURN_IF_ERROR(database.Execute("PRAGMA query_only = ON"));
  return std::make_unique<SqliteHistory>(std::move(database));
}

}  // namespace wattle::store
