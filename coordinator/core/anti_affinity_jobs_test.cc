// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of groups that run apart, from the submit to the result.
#include "coordinator/core/anti_affinity_jobs.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/testing/boards_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

v1::JobSpec OfGroup(const std::string& group, const std::string& by = "") {
  v1::JobSpec spec = Finetune();
  spec.mutable_apart()->set_group(group);
  spec.mutable_apart()->set_by(by);
  return spec;
}

// Two boards, of which the slow one is not worth a wait.
class AntiAffinityJobsTest : public testing::Test {
 protected:
  AntiAffinityJobsTest() {
    boards.Add("fast", 1);
    boards.Add("slow", 20);
  }
  std::string DeviceOf(const std::string& job) {
    const v1::Job& one = boards.Job(job);
    return one.attempts().empty() ? "" : one.attempts().rbegin()->device_id();
  }

  Boards boards;
};

TEST_F(AntiAffinityJobsTest, ResultsOfAGroupComeFromDifferentBoards) {
  const std::string first = boards.Submit(600, OfGroup("folds"));
  boards.Plan();
  EXPECT_EQ(DeviceOf(first), "fast");
  const std::string second = boards.Submit(600, OfGroup("folds"));
  boards.Plan();
  EXPECT_EQ(DeviceOf(second), "slow") << "it does not wait on the fast board";
  boards.Run("j2.1");
  boards.Finish("j2.1");
  boards.Run("j1.1");
  boards.Finish("j1.1");
  // Both boards are free, and each has its group's result.
  const std::string third = boards.Submit(600, OfGroup("folds"));
  const PlanComputed plan = boards.Plan();
  ASSERT_THAT(plan.jobs, SizeIs(1));
  EXPECT_EQ(DeviceOf(third), "");
  EXPECT_TRUE(plan.jobs[0].never);
  EXPECT_THAT(plan.jobs[0].placement.reason(),
              HasSubstr("the group has 3 jobs, and the fleet 2 boards"));
  // Another group runs at once, and so does the job on a board that joins.
  boards.Submit(600, OfGroup("others"));
  boards.Plan();
  EXPECT_EQ(DeviceOf("j4"), "fast");
  boards.Add("new", 1);
  boards.Plan();
  EXPECT_EQ(DeviceOf(third), "new");
}

TEST_F(AntiAffinityJobsTest, AJobThatFailedHoldsNoBoard) {
  boards.Submit(600, OfGroup("folds"));
  boards.Plan();
  boards.Do(CancelJob{JobId("j1"), "changed my mind"});
  boards.GiveBack("j1.1");
  boards.Submit(600, OfGroup("folds"));
  boards.Plan();
  EXPECT_EQ(DeviceOf("j2"), "fast");
}

TEST_F(AntiAffinityJobsTest, AJobHoldsTheBoardOfItsResultAndNotOfItsLatestAttempt) {
  v1::JobSpec spec = OfGroup("folds");
  spec.set_lease_seconds(60);
  boards.Submit(600, spec);
  boards.Plan();
  boards.Run("j1.1");
  ASSERT_EQ(DeviceOf("j1"), "fast");
  boards.Advance(absl::Hours(1));
  boards.observations.devices[DeviceId("slow")].last_seen = boards.Now();
  boards.Do(ComputePlan(MakeSnapshot(boards.state, boards.observations, {}, boards.Now())));
  ASSERT_EQ(DeviceOf("j1"), "slow") << "the fast board is silent";
  boards.Finish("j1.1");
  ASSERT_EQ(boards.Job("j1").state(), v1::JOB_STATE_SUCCEEDED);
  boards.Submit(600, OfGroup("folds"));
  boards.Plan();
  EXPECT_EQ(DeviceOf("j2"), "slow");
}

TEST_F(AntiAffinityJobsTest, ADryRunCountsWhatIsThere) {
  boards.Submit(600, OfGroup("folds"));
  boards.Plan();
  v1::PlanRequest request;
  *request.mutable_spec() = OfGroup("folds");
  boards.Snapshot();
  const auto plan = DryRun(boards.state, boards.observations, {}, request, boards.Now());
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->chosen_device_id(), "slow");
  boards.Run("j1.1");
  boards.Finish("j1.1");
  boards.Snapshot();
  const auto after = DryRun(boards.state, boards.observations, {}, request, boards.Now());
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->chosen_device_id(), "slow") << "a succeeded job counts without an open one";
}

TEST_F(AntiAffinityJobsTest, AGroupIsApartByOneLabel) {
  boards.Submit(600, OfGroup("folds", "site"));
  const auto submit = [&](const v1::JobSpec& spec) {
    return Decide(boards.state, SubmitJob{spec, "another"}, boards.observations, boards.Now())
        .status;
  };
  EXPECT_THAT(submit(OfGroup("folds")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "apart.by: \"\": j1 of the group folds is apart by site; write the same, or "
                       "another group"));
  EXPECT_THAT(submit(OfGroup("folds", "site")), IsOk());
  EXPECT_THAT(submit(OfGroup("others")), IsOk());
}

// Two plans on one state, as if the first one's events were late.
TEST_F(AntiAffinityJobsTest, APlanThatIsOlderThanTheStatePlacesNoJobBesideItsMate) {
  boards.Submit(600, OfGroup("folds", "class"));
  const PlanComputed first = ComputePlan(boards.Snapshot());
  boards.Submit(600, OfGroup("folds", "class"));
  PlanComputed second = ComputePlan(boards.Snapshot());
  boards.Do(first);
  ASSERT_EQ(DeviceOf("j1"), "fast");
  // The plan gave the second job the other board of the same class.
  second.jobs = {first.jobs[0]};
  second.jobs[0].job = JobId("j2");
  second.jobs[0].placement.set_device_id("slow");
  boards.Do(second);
  EXPECT_THAT(boards.Job("j2").attempts(), IsEmpty());
}

}  // namespace
}  // namespace wattle::core
