// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/old_records.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/store/history.h"
#include "coordinator/store/testing/journal_fixture.h"

namespace wattle::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One job a day from day 0 on: submitted, placed, ended, and archived. Each of two devices adds a
// ledger each day.
class OldRecordsTest : public JournalFixture {
 protected:
  static constexpr int kDays = 10;

  static absl::Time Day(int day) { return absl::FromUnixSeconds(1'800'000'000 + 86'400 * day); }

  OldRecordsTest() {
    journal_ = Open();
    for (int day = 0; day < kDays; ++day) {
      const std::string job = absl::StrCat("j", day + 1);
      v1::Event submitted = Next(day);
      submitted.mutable_job_submitted()->set_job_id(job);
      submitted.mutable_job_submitted()->mutable_spec()->mutable_generate()->set_model("tiny");
      v1::Event placed = Next(day);
      placed.mutable_attempt_placed()->set_attempt_id(job + ".1");
      placed.mutable_attempt_placed()->set_job_id(job);
      v1::Event archived = Next(day);
      archived.mutable_job_archived()->set_idempotency_key("key-" + job);
      archived.mutable_job_archived()->mutable_job()->set_job_id(job);
      archived.mutable_job_archived()->mutable_job()->set_state(v1::JOB_STATE_SUCCEEDED);
      archived.mutable_job_archived()->mutable_job()->set_submitted_unix_seconds(
          absl::ToDoubleSeconds(Day(day) - absl::UnixEpoch()));
      v1::Event barn = Next(day);
      barn.mutable_ledger_recorded()->set_device_id("barn");
      barn.mutable_ledger_recorded()->mutable_ledger()->set_attempt_energy_joules(100 * day);
      EXPECT_THAT(journal_->Append({submitted, placed, archived, barn}), IsOk());
      if (day < 2) {  // Only on the first two days.
        v1::Event mast = Next(day);
        mast.mutable_ledger_recorded()->set_device_id("mast");
        EXPECT_THAT(journal_->Append({mast}), IsOk());
      }
    }
  }
  v1::Event Next(int day) {
    v1::Event event;
    event.set_sequence(++sequence_);
    event.set_at_unix_seconds(absl::ToDoubleSeconds(Day(day) - absl::UnixEpoch()));
    return event;
  }
  [[nodiscard]] int64_t Count(const std::string& rows) const {
    return Query(path_, "SELECT count(*) FROM " + rows);
  }

  int64_t sequence_ = 0;
  std::unique_ptr<Journal> journal_;
};

bool Never() {
  return false;
}

TEST_F(OldRecordsTest, JobsOfOldDaysGoAndTheOthersAnswer) {
  ASSERT_THAT(journal_->RemoveHistory(Day(6), Never), IsOk());
  auto history = *History::Open(path_);
  std::vector<std::string> left;
  const auto jobs = history->Jobs({});
  ASSERT_THAT(jobs, IsOk());
  for (const v1::Job& job : *jobs) {
    left.push_back(job.job_id());
  }
  EXPECT_THAT(left, ElementsAre("j10", "j9", "j8", "j7"));
  EXPECT_EQ(Count("jobs"), 4);
  EXPECT_EQ(Count("attempts"), 4);
  EXPECT_THAT(history->Job(JobId("j6")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("wattle jobs")));
  EXPECT_FALSE((*history->JobOfKey("key-j6")).has_value());
}

TEST_F(OldRecordsTest, AJobThatEndedLateStaysThoughItBeganEarly) {
  Query(path_, absl::StrCat("UPDATE jobs SET finished_unix_seconds = ", absl::ToUnixSeconds(Day(8)),
                            " WHERE job_id = 'j2' RETURNING 1"));
  ASSERT_THAT(journal_->RemoveHistory(Day(6), Never), IsOk());
  EXPECT_EQ(Count("archived_jobs WHERE number = 2"), 1);
}

// The energy since a moment is the difference to the latest ledger before that moment.
TEST_F(OldRecordsTest, EachDeviceKeepsItsLatestOldLedger) {
  ASSERT_THAT(journal_->RemoveHistory(Day(6), Never), IsOk());
  EXPECT_EQ(Query(path_,
                  "SELECT min(attempt_energy_joules) FROM energy_ledger WHERE device_id = "
                  "'barn'"),
            500);
  EXPECT_EQ(Count("energy_ledger WHERE device_id = 'barn'"), 5);
  EXPECT_EQ(Count("energy_ledger WHERE device_id = 'mast'"), 1);
}

TEST_F(OldRecordsTest, TheJournalStaysAndTheArchiveLosesOldEvents) {
  ASSERT_THAT(journal_->WriteSnapshot(SnapshotOf(sequence_ - 4, {"a"})), IsOk());
  ASSERT_THAT(journal_->WriteSnapshot(SnapshotOf(sequence_, {"b"})), IsOk());
  const int64_t kept = Count("events");
  const std::string archive = absl::StrCat(path_, kArchiveSuffix);
  ASSERT_EQ(Query(archive, "SELECT count(*) FROM events"), sequence_ - 4);
  ASSERT_THAT(journal_->RemoveHistory(Day(6), Never), IsOk());
  EXPECT_EQ(Count("events"), kept);
  EXPECT_EQ(Query(archive, "SELECT min(at_unix_seconds) FROM events"), absl::ToUnixSeconds(Day(6)));
  journal_.reset();
  journal_ = Open();
  EXPECT_THAT(ReadAll(*journal_, sequence_ - 4), testing::SizeIs(4));
}

TEST_F(OldRecordsTest, AStopEndsTheRemovalBetweenTwoWrites) {
  ASSERT_THAT(journal_->RemoveHistory(Day(6), [] { return true; }), IsOk());
  EXPECT_EQ(Count("archived_jobs"), kDays);
}

}  // namespace
}  // namespace wattle::store
