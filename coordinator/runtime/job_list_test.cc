// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests lists over state and history, and the other answers of the API about jobs that left the
// state.
#include "coordinator/runtime/job_list.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/testing/runtime_fixture.h"
#include "proto/job_summary.h"

namespace wattle::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Jobs 1 to 6. Jobs 1, 2 and 4 ended long ago and are archived; the others are queued.
class JobListTest : public RuntimeFixture {
 protected:
  JobListTest() {
    {
      const auto journal = store::Journal::Open(Path("journal.db"));
      EXPECT_THAT(journal, IsOk());
      core::State state;
      absl::Time now = absl::Now() - absl::Hours(24);
      const auto step = [&](const core::Command& command) {
        core::Observations observations;
        observations.started = {now, Monotonic()};
        const core::Decision decision =
            core::Decide(state, command, observations, {now, Monotonic(absl::Hours(1))});
        EXPECT_THAT(decision.status, IsOk());
        for (const v1::Event& event : decision.events) {
          core::Apply(state, event, core::kReplayed);
        }
        EXPECT_THAT((*journal)->Append(decision.events), IsOk());
      };
      v1::ArtifactInfo model = ModelInfoOf("tiny");
      model.set_artifact_id(std::string(64, 'a'));
      step(core::CommitArtifact{model});
      for (int i = 1; i <= 6; ++i) {
        v1::JobSpec spec = GenerateSpecOf("tiny");
        spec.set_owner(i % 2 == 0 ? "ann" : "bob");
        step(core::SubmitJob{spec, absl::StrCat("key-", i)});
      }
      for (const std::string id : {"j1", "j2", "j4"}) {
        step(core::CancelJob{JobId(id), "not needed"});
      }
      now += absl::Hours(1);
      step(core::ArchiveEnded{{.age_max = absl::Minutes(30), .jobs_max = 0}});
      EXPECT_EQ(state.jobs.size(), 3U);
    }
    runtime_ = StartRuntime();
    api_ = std::make_unique<Api>(*runtime_);
  }
  static v1::ListJobsRequest Request(int limit, const std::string& token) {
    v1::ListJobsRequest request;
    request.set_limit(limit);
    request.set_page_token(token);
    return request;
  }
  std::vector<std::string> Ids(const v1::ListJobsRequest& request) {
    const auto response = api_->ListJobs(request, core::Scope::All());
    EXPECT_THAT(response, IsOk());
    std::vector<std::string> ids;
    for (const v1::Job& job : response->jobs()) {
      ids.push_back(job.job_id());
    }
    for (const v1::JobSummary& summary : response->summaries()) {
      ids.push_back(summary.job_id());
    }
    token_ = response->next_page_token();
    return ids;
  }

  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Api> api_;
  std::string token_;
};

// An older worker's receipt for an attempt that never began.
TEST(JobSummaryTest, AReceiptOfNoWorkIsNoEvidence) {
  v1::Job job;
  job.add_attempts()->mutable_receipt()->set_attempt_id("j1.1");
  v1::Receipt& receipt = *job.add_attempts()->mutable_receipt();
  receipt.set_emulated(true);
  receipt.mutable_total()->set_seconds(3);
  EXPECT_THAT(Summarize(job).energy_sources(), ElementsAre(v1::ENERGY_SOURCE_EMULATED));
}

TEST_F(JobListTest, ArchivedAndLiveJobsAreOneListPageByPage) {
  EXPECT_THAT(Ids(Request(4, "")), ElementsAre("j6", "j5", "j4", "j3"));
  EXPECT_THAT(Ids(Request(4, token_)), ElementsAre("j2", "j1"));
  EXPECT_EQ(token_, "");
  EXPECT_THAT(Ids(Request(6, "")), ElementsAre("j6", "j5", "j4", "j3", "j2", "j1"));
  EXPECT_EQ(token_, "") << "a full page that was all has no next one";
}

TEST_F(JobListTest, FiltersHoldForBoth) {
  v1::ListJobsRequest request;
  request.add_owners("ann");
  EXPECT_THAT(Ids(request), ElementsAre("j6", "j4", "j2"));
  request.add_states(v1::JOB_STATE_CANCELLED);
  EXPECT_THAT(Ids(request), ElementsAre("j4", "j2"));
  request.add_kinds("finetune");
  EXPECT_THAT(Ids(request), ElementsAre());
}

TEST_F(JobListTest, SummariesHaveTheFieldsThatAListShows) {
  v1::ListJobsRequest request;
  request.set_summaries(true);
  const auto response = api_->ListJobs(request, core::Scope::All());
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->jobs_size(), 0);
  ASSERT_EQ(response->summaries_size(), 6);
  EXPECT_EQ(response->summaries(2).job_id(), "j4");
  EXPECT_EQ(response->summaries(2).kind(), "generate");
  EXPECT_EQ(response->summaries(2).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_THAT(response->summaries(2).reason(), HasSubstr("not needed"));
}

TEST_F(JobListTest, AWrongTokenOrLimitIsRefused) {
  for (const std::string token : {"j3", "-1", "0", "3x"}) {
    EXPECT_THAT(api_->ListJobs(Request(1, token), core::Scope::All()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_token")))
        << token;
  }
  EXPECT_THAT(api_->ListJobs(Request(1001, ""), core::Scope::All()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("limit")));
}

TEST_F(JobListTest, TheKeyOfADurableJobIsAnsweredWithoutTheCore) {
  runtime_->Stop();  // The core decides nothing any more.
  v1::SubmitJobRequest submit;
  *submit.mutable_spec() = GenerateSpecOf("tiny");
  submit.mutable_spec()->set_owner("bob");
  submit.set_idempotency_key("key-3");
  absl::StatusOr<v1::SubmitJobResponse> answer;
  api_->SubmitJob(submit, {}, [&answer](const auto& reply) { answer = reply; });
  ASSERT_THAT(answer, IsOk());
  EXPECT_TRUE(answer->existed());
  EXPECT_EQ(answer->job().job_id(), "j3");
}

TEST_F(JobListTest, AnArchivedJobAnswersAsBefore) {
  v1::GetJobRequest get;
  get.set_job_id("j2");
  const auto job = api_->GetJob(get);
  ASSERT_THAT(job, IsOk());
  EXPECT_EQ(job->state(), v1::JOB_STATE_CANCELLED);

  v1::SubmitJobRequest submit;
  *submit.mutable_spec() = GenerateSpecOf("tiny");
  submit.mutable_spec()->set_owner("ann");
  submit.set_idempotency_key("key-2");
  absl::StatusOr<v1::SubmitJobResponse> answer;
  const auto take = [&answer](const absl::StatusOr<v1::SubmitJobResponse>& reply) {
    answer = reply;
  };
  api_->SubmitJob(submit, {}, take);
  ASSERT_THAT(answer, IsOk()) << "the job of the first submit";
  EXPECT_TRUE(answer->existed());
  EXPECT_EQ(answer->job().job_id(), "j2");
  submit.mutable_spec()->set_owner("eve");
  api_->SubmitJob(submit, {}, take);
  EXPECT_THAT(answer.status(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("j2")));

  v1::CancelJobRequest cancel;
  cancel.set_job_id("j2");
  absl::Status cancelled;
  api_->CancelJob(cancel, {}, [&cancelled](const absl::StatusOr<v1::Job>& reply) {
    cancelled = reply.status();
  });
  EXPECT_THAT(cancelled, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has ended")));
}

}  // namespace
}  // namespace wattle::runtime
