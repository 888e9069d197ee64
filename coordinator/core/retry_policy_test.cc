// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/retry_policy.h"

#include "gtest/gtest.h"

namespace wattle::core {
namespace {

void AddFailure(v1::Job& job, v1::FailureClass failure_class, const std::string& device,
                int64_t reached_step = 0) {
  v1::Attempt& attempt = *job.add_attempts();
  attempt.set_state(v1::ATTEMPT_STATE_FAILED);
  attempt.set_device_id(device);
  attempt.set_reached_step(reached_step);
  attempt.mutable_receipt()->set_failure_class(failure_class);
}

TEST(RetryPolicyTest, SpecAndDataAreNeverRepeated) {
  const v1::Job job;
  EXPECT_FALSE(RetryAfterFailure(job, {v1::FAILURE_CLASS_SPEC, "a", 0}).again);
  EXPECT_FALSE(RetryAfterFailure(job, {v1::FAILURE_CLASS_DATA, "a", 0}).again);
}

TEST(RetryPolicyTest, TheJobsOwnFailuresAreRepeatedAsItsSpecSays) {
  v1::Job job;
  EXPECT_FALSE(RetryAfterFailure(job, {v1::FAILURE_CLASS_JOB, "a", 0}).again);
  job.mutable_spec()->set_retries(1);
  EXPECT_TRUE(RetryAfterFailure(job, {v1::FAILURE_CLASS_JOB, "a", 0}).again);
  AddFailure(job, v1::FAILURE_CLASS_JOB, "a");
  EXPECT_FALSE(RetryAfterFailure(job, {v1::FAILURE_CLASS_JOB, "b", 0}).again);
}

TEST(RetryPolicyTest, AttemptsAreCountedToTheLastOneThatTheJobCanHave) {
  v1::Job job;
  job.mutable_spec()->set_retries(2);
  EXPECT_EQ(AttemptsMax(job), 3) << "not begun";
  AddFailure(job, v1::FAILURE_CLASS_JOB, "a");
  EXPECT_EQ(AttemptsMax(job), 3) << "queued again";
  job.add_attempts()->set_state(v1::ATTEMPT_STATE_RUNNING);
  EXPECT_EQ(AttemptsMax(job), 3) << "the second runs";
  job.mutable_attempts(1)->set_state(v1::ATTEMPT_STATE_FAILED);
  job.mutable_attempts(1)->mutable_receipt()->set_failure_class(v1::FAILURE_CLASS_POWER);
  EXPECT_EQ(AttemptsMax(job), 4) << "a flat battery costs the job none of its retries";
  job.set_state(v1::JOB_STATE_FAILED);
  EXPECT_EQ(AttemptsMax(job), 2) << "there are no more";
}

TEST(RetryPolicyTest, ThreeDevicesWithoutProgressMakeItTheJobsFault) {
  v1::Job job;
  AddFailure(job, v1::FAILURE_CLASS_DEVICE, "a");
  AddFailure(job, v1::FAILURE_CLASS_POWER, "b");
  EXPECT_TRUE(RetryAfterFailure(job, {v1::FAILURE_CLASS_DEVICE, "c", 0}).again)
      << "a flat battery says nothing of the job";
  AddFailure(job, v1::FAILURE_CLASS_DEVICE, "c");
  const Retry retry = RetryAfterFailure(job, {v1::FAILURE_CLASS_DEVICE, "d", 0});
  EXPECT_FALSE(retry.again);
  EXPECT_EQ(retry.why, "failed on 3 different devices");
  EXPECT_TRUE(RetryAfterFailure(job, {v1::FAILURE_CLASS_DEVICE, "d", 50}).again)
      << "it got further than ever";
}

TEST(RetryPolicyTest, ALongJobOutlivesAnyNumberOfOutagesAsLongAsItGetsOn) {
  v1::Job job;
  for (int night = 1; night <= 30; ++night) {
    const Retry retry = RetryAfterFailure(job, {v1::FAILURE_CLASS_POWER, "mast", 10 * night});
    ASSERT_TRUE(retry.again) << night;
    EXPECT_EQ(retry.backoff, absl::Seconds(2)) << night;
    AddFailure(job, v1::FAILURE_CLASS_POWER, "mast", 10 * night);
  }
}

TEST(RetryPolicyTest, TenFailuresInARowWithoutProgressAreEnough) {
  v1::Job job;
  absl::Duration waited;
  for (int i = 1; i < 10; ++i) {
    const Retry retry = RetryAfterFailure(job, {v1::FAILURE_CLASS_LINK, "a", 0});
    ASSERT_TRUE(retry.again) << i;
    EXPECT_LE(retry.backoff, absl::Hours(1));
    waited += retry.backoff;
    AddFailure(job, v1::FAILURE_CLASS_LINK, "a");
  }
  EXPECT_GT(waited, absl::Minutes(15));
  EXPECT_FALSE(RetryAfterFailure(job, {v1::FAILURE_CLASS_LINK, "a", 0}).again);
}

TEST(RetryPolicyTest, ADeviceThatStopsTheJobAgainAndAgainIsAskedLessOften) {
  v1::Job job;
  EXPECT_EQ(BackoffAfterStop(job, {v1::FAILURE_CLASS_UNSPECIFIED, "a", 0}), absl::Seconds(2));
  v1::Attempt& stopped = *job.add_attempts();
  stopped.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
  EXPECT_EQ(BackoffAfterStop(job, {v1::FAILURE_CLASS_UNSPECIFIED, "a", 0}), absl::Seconds(4));
  EXPECT_EQ(BackoffAfterStop(job, {v1::FAILURE_CLASS_UNSPECIFIED, "a", 7}), absl::Seconds(2));
}

}  // namespace
}  // namespace wattle::core
