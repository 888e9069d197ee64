// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A worker that offers its cores besides its GPU: the processor that a runner gets.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using ::testing::SizeIs;

class ProcessorsTest : public AgentCoreTest {
 protected:
  ProcessorsTest() {
    runner_device_ = "cuda";
    Boot();
    Welcome();
  }

  v1::Assignment JobOn(const std::string& attempt, bool on_cpu) {
    v1::Assignment job = Job(attempt);
    job.set_on_cpu(on_cpu);
    return job;
  }
  // A measured run, so that nothing is uploaded.
  v1::Receipt Run(const v1::Assignment& job) {
    Desire({job});
    core_->OnFetched({}, Now());
    Phase("train");
    Pass(absl::Seconds(2));
    StepDone(1);
    v1::RunnerFrame frame;
    frame.mutable_result()->mutable_work()->set_steps(1);
    core_->OnFrame(frame, Now());
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    Pass(absl::Seconds(1));
    return Last("finished").finished().receipt();
  }
};

TEST_F(ProcessorsTest, ARunnerGetsTheProcessorOfItsAssignmentAndTheReceiptTellsIt) {
  for (const bool on_cpu : {false, true}) {
    v1::Assignment job = JobOn(on_cpu ? "j2.1" : "j1.1", on_cpu);
    job.mutable_profile_point()->set_batch_size(8);
    EXPECT_EQ(Run(job).on_cpu(), on_cpu);
    EXPECT_EQ(ports_.tasks.back().device(), on_cpu ? "cpu" : "cuda");
  }
}

TEST_F(ProcessorsTest, TheGpuWaitsWhileTheCoresHaveAJob) {
  Desire({JobOn("j1.1", true), JobOn("j2.1", false)});
  core_->OnFetched({}, Now());
  Phase("train");
  Pass(absl::Minutes(1));
  ASSERT_THAT(ports_.tasks, SizeIs(1));
  EXPECT_EQ(ports_.tasks[0].device(), "cpu");
}

// A GPU's driver crashes the process: the cores, or another board, may still be able to do the
// work.
TEST_F(ProcessorsTest, ACrashOnTheGpuIsTheDevicesFaultAndOneOnTheCoresTheJobs) {
  for (const bool on_cpu : {false, true}) {
    Desire({JobOn(on_cpu ? "j2.1" : "j1.1", on_cpu)});
    core_->OnFetched({}, Now());
    for (int start = 0; start < 4; ++start) {
      Phase("train");
      Pass(absl::Seconds(2));
      core_->OnRunnerExit({.failure_class = v1::FAILURE_CLASS_JOB,
                           .message = "runner: crashed (SIGSEGV), signal 11",
                           .crashed = true},
                          Now());
    }
    Pass(absl::Seconds(1));
    const v1::Receipt receipt = Last("failed").failed().receipt();
    EXPECT_EQ(receipt.failure_class(), on_cpu ? v1::FAILURE_CLASS_JOB : v1::FAILURE_CLASS_DEVICE);
    EXPECT_THAT(receipt.failure_message(),
                testing::StartsWith(on_cpu ? "runner: crashed (SIGSEGV), signal 11 (restarted 3"
                                           : "runner: crashed (SIGSEGV), signal 11, on cuda (res"));
  }
}

TEST_F(ProcessorsTest, AfterARestartTheAttemptGoesOnWhereItWas) {
  Desire({JobOn("j1.1", true)});
  core_->OnFetched({}, Now());
  Phase("train");
  Pass(absl::Seconds(2));
  Boot();
  Welcome();
  ASSERT_THAT(LastHello().attempts(), SizeIs(1));
  EXPECT_TRUE(LastHello().attempts(0).on_cpu());
  Pass(absl::Seconds(2));
  core_->OnFetched({}, Now());
  ASSERT_FALSE(ports_.tasks.empty());
  EXPECT_EQ(ports_.tasks.back().device(), "cpu");
}

}  // namespace
}  // namespace wattle::agent
