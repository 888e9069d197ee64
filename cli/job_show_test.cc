// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle job show for a waiting job: the coordinator's answers besides the job.
#include <string>

#include "absl/synchronization/mutex.h"
#include "cli/job_view.h"
#include "cli/json_output.h"
#include "cli/testing/program_fixture.h"
#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

namespace wattle::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class JobShowTest : public ProgramTest {
 protected:
  JobShowTest() {
    job_ = SampleFinishedJob();
    job_.set_job_id("j12");
    job_.set_state(v1::JOB_STATE_QUEUED);
    job_.clear_attempts();
    job_.mutable_place()->set_device_id(SampleDevices().devices(2).info().device_id());
    job_.mutable_place()->set_expected_start_unix_seconds(kSampleNowUnixSeconds + 3600);
    job_.mutable_place()->set_expected_end_unix_seconds(kSampleNowUnixSeconds + 7200);
    Keep();
  }
  void Keep() { coordinator_.state().jobs["j12"] = job_; }

  v1::Job job_;
};

TEST_F(JobShowTest, AWaitingJobTellsWhatItsPlanTells) {
  const Result result = Run({"job", "show", "j12"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, Not(HasSubstr("would win     xavier-1"))) << "its place is there";
  EXPECT_THAT(result.out,
              HasSubstr("would win     pi-läuft with activation_checkpointing true: 19.00 Wh"));
  EXPECT_THAT(result.out, HasSubstr(", behind j4, whose attempt is on the board\n"));
  ASSERT_THAT(coordinator_.state().plans, SizeIs(1));
  EXPECT_EQ(coordinator_.state().plans[0].job_id(), "j12");
  EXPECT_FALSE(coordinator_.state().plans[0].has_spec());
}

TEST_F(JobShowTest, ACoordinatorThatPlansNoneLeavesThePageAsItWas) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::UNIMPLEMENTED, grpc::StatusCode::PERMISSION_DENIED,
        grpc::StatusCode::DEADLINE_EXCEEDED, grpc::StatusCode::RESOURCE_EXHAUSTED}) {
    coordinator_.state().plan_status = {code, "no"};
    const Result result = Run({"job", "show", "j12"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.err, IsEmpty());
    EXPECT_EQ(result.out, RenderJob(job_, clock_.Now(), {}, {.plan = {}, .ahead_job_id = "j4"}));
  }
}

TEST_F(JobShowTest, OnlyAJobThatWaitsIsPlannedAndOnlyForPeople) {
  EXPECT_EQ(Run({"job", "show", "j12", "-o", "json"}).out, ToJsonDocument(job_));
  job_.set_state(v1::JOB_STATE_ACTIVE);
  Keep();
  EXPECT_THAT(Run({"job", "show", "j12"}).out, Not(HasSubstr("would win")));
  EXPECT_THAT(coordinator_.state().plans, IsEmpty());
}

TEST_F(JobShowTest, ABoardThatDoesNotAnswerForItsAttemptIsLeftOut) {
  job_.mutable_place()->set_device_id("gone");
  Keep();
  const Result result = Run({"job", "show", "j12"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, Not(HasSubstr("behind")));
  EXPECT_THAT(result.out, HasSubstr("would win     xavier-1"));
}

}  // namespace
}  // namespace wattle::cli
