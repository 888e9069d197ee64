// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/history.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/store/testing/journal_fixture.h"

namespace wattle::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

v1::Event Archived(int64_t sequence, int64_t number, v1::JobState state,
                   const std::string& owner = "ann") {
  v1::Event event;
  event.set_sequence(sequence);
  v1::JobArchived& archived = *event.mutable_job_archived();
  archived.set_idempotency_key(absl::StrCat("key-", number));
  v1::Job& job = *archived.mutable_job();
  job.set_job_id(absl::StrCat("j", number));
  job.set_state(state);
  job.set_submitted_unix_seconds(1000.0 * static_cast<double>(number));
  job.mutable_spec()->set_owner(owner);
  job.mutable_spec()->mutable_generate()->set_model("tiny");
  v1::Attempt& attempt = *job.add_attempts();
  attempt.set_attempt_id(absl::StrCat("j", number, ".1"));
  attempt.mutable_receipt()->mutable_total()->set_gross_energy_joules(5);
  return event;
}

class HistoryTest : public JournalFixture {
 protected:
  HistoryTest() {
    journal_ = Open();
    EXPECT_THAT(journal_->Append({Archived(1, 3, v1::JOB_STATE_SUCCEEDED),
                                  Archived(2, 10, v1::JOB_STATE_FAILED),
                                  Archived(3, 2, v1::JOB_STATE_SUCCEEDED, "bob"),
                                  Archived(4, 11, v1::JOB_STATE_CANCELLED)}),
                IsOk());
    auto history = History::Open(path_);
    EXPECT_THAT(history, IsOk());
    history_ = *std::move(history);
  }
  std::vector<std::string> Ids(const HistoryQuery& query) {
    auto jobs = history_->Jobs(query);
    EXPECT_THAT(jobs, IsOk());
    std::vector<std::string> ids;
    for (const v1::Job& job : *jobs) {
      ids.push_back(job.job_id());
    }
    return ids;
  }

  std::unique_ptr<Journal> journal_;
  std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, AnArchivedJobIsThereWithItsReceipt) {
  const auto job = history_->Job(JobId("j10"));
  ASSERT_THAT(job, IsOk());
  EXPECT_EQ(job->state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job->attempts(0).receipt().total().gross_energy_joules(), 5);
  for (const std::string unknown : {"j4", "j010", "10", "", "j99999999999999999999"}) {
    EXPECT_THAT(history_->Job(JobId(unknown)),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("wattle jobs")))
        << unknown;
  }
}

TEST_F(HistoryTest, AJobIsFoundByTheKeyOfItsSubmit) {
  EXPECT_EQ((*history_->JobOfKey("key-3"))->value(), "j3");
  EXPECT_FALSE(history_->JobOfKey("key-4")->has_value());
}

TEST_F(HistoryTest, ListsArePagedByNumberNewestFirst) {
  EXPECT_THAT(Ids({.limit = 3}), ElementsAre("j11", "j10", "j3"));
  EXPECT_THAT(Ids({.before_number = 3, .limit = 3}), ElementsAre("j2"));
  EXPECT_THAT(Ids({.before_number = 2}), IsEmpty());
}

TEST_F(HistoryTest, ListsAreFiltered) {
  EXPECT_THAT(Ids({.states = {v1::JOB_STATE_SUCCEEDED}}), ElementsAre("j3", "j2"));
  EXPECT_THAT(Ids({.limit = 2, .states = {v1::JOB_STATE_SUCCEEDED, v1::JOB_STATE_FAILED}}),
              ElementsAre("j10", "j3"));
  EXPECT_THAT(Ids({.states = {v1::JOB_STATE_QUEUED}}), IsEmpty());
  EXPECT_THAT(Ids({.owners = {"bob", "eve"}}), ElementsAre("j2"));
  EXPECT_THAT(Ids({.kinds = {"finetune"}}), IsEmpty());
  EXPECT_THAT(Ids({.submitted_since_unix_seconds = 3000}), ElementsAre("j11", "j10", "j3"));
}

TEST_F(HistoryTest, WhyAnAttemptWasPlacedComesFromItsEvent) {
  v1::Event placed;
  placed.set_sequence(5);
  placed.mutable_attempt_placed()->set_attempt_id("j10.1");
  placed.mutable_attempt_placed()->set_job_id("j10");
  placed.mutable_attempt_placed()->mutable_placement()->set_reason("fewest joules");
  ASSERT_THAT(journal_->Append({placed}), IsOk());
  auto job = history_->Job(JobId("j10"));
  ASSERT_THAT(job, IsOk());
  ASSERT_THAT(history_->Explain(*job), IsOk());
  EXPECT_EQ(job->attempts(0).placement().reason(), "fewest joules");
}

TEST_F(HistoryTest, TheJobsThatEndedOnADeviceAreFoundByIt) {
  const auto ended = [this](const std::string& device, double since) {
    const auto jobs = history_->JobsEndedOn(DeviceId(device), since);
    EXPECT_THAT(jobs, IsOk());
    return jobs.value_or(std::vector<int64_t>());
  };
  const auto placed = [](int64_t sequence, const std::string& job, const std::string& attempt) {
    v1::Event event;
    event.set_sequence(sequence);
    event.mutable_attempt_placed()->set_attempt_id(attempt);
    event.mutable_attempt_placed()->set_job_id(job);
    event.mutable_attempt_placed()->set_device_id("stolen");
    return event;
  };
  const auto failed = [](int64_t sequence, const std::string& attempt) {
    v1::Event event;
    event.set_sequence(sequence);
    event.set_at_unix_seconds(1000.0 * static_cast<double>(sequence));
    event.mutable_attempt_state_changed()->set_attempt_id(attempt);
    event.mutable_attempt_state_changed()->set_state(v1::ATTEMPT_STATE_FAILED);
    return event;
  };
  ASSERT_THAT(journal_->Append({placed(5, "j9", "j9.1"), placed(6, "j20", "j20.1"),
                                placed(7, "j22", "j22.1"), failed(8, "j9.1"), failed(9, "j20.1")}),
              IsOk());
  EXPECT_THAT(ended("stolen", 0), UnorderedElementsAre(9, 20)) << "the attempt of 22 goes on";
  EXPECT_THAT(ended("stolen", 8000.5), ElementsAre(20));
  EXPECT_THAT(ended("another", 0), IsEmpty());
}

TEST_F(HistoryTest, ADamagedJobIsNamed) {
  Query(path_, "UPDATE archived_jobs SET job = x'ff' WHERE number = 3 RETURNING 1");
  EXPECT_THAT(history_->Job(JobId("j3")), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("j3")));
}

}  // namespace
}  // namespace wattle::store
