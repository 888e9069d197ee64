// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a journal in its own directory, events to append, and direct access to the journal's
// file.
#ifndef WATTLE_COORDINATOR_STORE_TESTING_JOURNAL_FIXTURE_H_
#define WATTLE_COORDINATOR_STORE_TESTING_JOURNAL_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <sqlite3.h>

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "coordinator/store/journal.h"
#include "coordinator/store/sqlite.h"

namespace wattle::store {

inline v1::Event JobEvent(int64_t sequence, size_t name_bytes = 10) {
  v1::Event event;
  event.set_sequence(sequence);
  event.set_at_unix_seconds(1000.5 + static_cast<double>(sequence));
  v1::JobSubmitted& job = *event.mutable_job_submitted();
  job.set_job_id(absl::StrCat("j", sequence));
  job.mutable_spec()->set_name(std::string(name_bytes, 'x'));
  job.mutable_spec()->mutable_finetune()->set_model("tiny");
  job.set_idempotency_key(absl::StrCat("key-", sequence));
  return event;
}

inline std::vector<v1::Event> JobEvents(int64_t first, int count, size_t name_bytes = 10) {
  std::vector<v1::Event> events;
  for (int i = 0; i < count; ++i) {
    events.push_back(JobEvent(first + i, name_bytes));
  }
  return events;
}

inline std::vector<v1::Event> ReadAll(Journal& journal, int64_t after = 0) {
  std::vector<v1::Event> events;
  EXPECT_THAT(journal.Replay(after,
                             [&](const v1::Event& event) {
                               events.push_back(event);
                               return absl::OkStatus();
                             }),
              IsOk());
  return events;
}

inline int64_t Query(const std::string& path, const std::string& sql) {
  auto database = Database::Open(path, SQLITE_OPEN_READWRITE);
  EXPECT_THAT(database, IsOk());
  auto value = database->Integer(sql);
  EXPECT_THAT(value, IsOk());
  return value.ok() ? *value : -1;
}

using Rows = std::vector<std::string>;

inline absl::Status ReadRows(const GiveRows& give, Rows& rows) {
  return give([&rows](absl::string_view row) {
    rows.emplace_back(row);
    return absl::OkStatus();
  });
}

// A snapshot of these rows. Its check passes when exactly these rows read back.
inline SnapshotToWrite SnapshotOf(int64_t sequence, const Rows& rows) {
  SnapshotToWrite snapshot;
  snapshot.sequence = sequence;
  snapshot.rows = [rows](const TakeRow& take) {
    for (const std::string& row : rows) {
      if (absl::Status status = take(row); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  };
  snapshot.check = [rows](const GiveRows& stored) {
    Rows back;
    absl::Status read = ReadRows(stored, back);
    return !read.ok() || back == rows ? read : absl::DataLossError("the rows read back otherwise");
  };
  return snapshot;
}

class JournalFixture : public testing::Test {
 protected:
  std::unique_ptr<Journal> Open() {
    auto journal = Journal::Open(path_);
    EXPECT_THAT(journal, IsOk());
    return *std::move(journal);
  }
  void SetEvent(int64_t sequence, const std::string& bytes) {
    Query(path_, absl::StrCat("UPDATE events SET event = x'", absl::BytesToHexString(bytes),
                              "' WHERE sequence = ", sequence, " RETURNING 1"));
  }

  const TestDirectory directory_;
  const std::string path_ = directory_.File("journal.db");
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_TESTING_JOURNAL_FIXTURE_H_
