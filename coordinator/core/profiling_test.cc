// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Profile jobs from their submission to their end.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/profiling_for_test.h"
#include "proto/job_kind.h"
#include "proto/peak_memory.h"
#include "scheduler/profile_run/choose_point.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(ProfilingTest, ARunIsAShortJobOfTheWorkloadInTheModeOfItsPoint) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->mutable_finetune()->set_checkpoint_every_steps(2);
  Submit(spec);
  Plan();
  ASSERT_EQ(job().state(), v1::JOB_STATE_ACTIVE) << job().reason();
  const v1::ProfilePoint& point = last().profile_point();
  EXPECT_EQ(last().power_mode(), point.power_mode());
  EXPECT_GT(point.gain_percent(), 1);
  EXPECT_GE(point.steps(), 4);
  const v1::Assignment assignment = DesiredFor(state_, DeviceId(kProfiledBoard)).assignments(0);
  EXPECT_EQ(assignment.profile_point().SerializeAsString(), point.SerializeAsString());
  EXPECT_EQ(assignment.power_mode(), point.power_mode());
  EXPECT_EQ(assignment.spec().finetune().batch_size(), point.batch_size());
  EXPECT_EQ(assignment.spec().finetune().steps(), point.steps());
  EXPECT_EQ(assignment.spec().finetune().checkpoint_every_steps(), 0);
  EXPECT_EQ(assignment.spec().finetune().model(), "tiny");
  EXPECT_EQ(assignment.inputs_size(), 2);
}

TEST_F(ProfilingTest, RunsGoOnUntilTheNextOneWouldTellTooLittle) {
  Submit(Profile());
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(job().reason(), HasSubstr("measured in"));
  EXPECT_THAT(job().output_artifact_id(), IsEmpty());
  const std::vector<std::string> points = Points();
  EXPECT_GE(points.size(), 3U);
  EXPECT_THAT(MeasuredRows(), testing::UnorderedElementsAreArray(points))
      << "each run is a measured row of the workload";
  EXPECT_EQ(std::set<std::string>(points.begin(), points.end()).size(), points.size());
  double joules = 0;
  for (const v1::Attempt& attempt : job().attempts()) {
    EXPECT_EQ(attempt.receipt().profile_point().SerializeAsString(),
              attempt.profile_point().SerializeAsString());
    EXPECT_TRUE(attempt.receipt().has_row_move());
    joules += attempt.receipt().total().gross_energy_joules();
  }
  EXPECT_DOUBLE_EQ(SpentEnergy(job()).value(), joules);
}

TEST_F(ProfilingTest, WhatIsMeasuredAlreadyIsNotRunAgain) {
  Submit(Profile());
  RunToTheEnd();
  Submit(Profile());
  Plan();
  EXPECT_EQ(job("j2").state(), v1::JOB_STATE_SUCCEEDED) << job("j2").reason();
  EXPECT_EQ(job("j2").attempts_size(), 0);
}

TEST_F(ProfilingTest, TheGainThatIsWantedEndsTheJob) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->set_gain_percent_min(50);
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(job().reason(), HasSubstr("would narrow what is known by"));
  EXPECT_LT(job().attempts_size(), 4);
  for (const v1::Attempt& attempt : job().attempts()) {
    EXPECT_GE(attempt.profile_point().gain_percent(), 50);
  }
}

// The first prediction of a board may be a hundred times too slow, and its run is then too short to
// teach much.
TEST_F(ProfilingTest, ARunThatWasFarTooShortIsMadeOnceMoreWithTheStepsThatItWants) {
  Submit(Profile({4}));
  Plan();
  const double predicted = last().prediction().seconds_per_unit();
  seconds_per_unit_ = predicted / 100;
  Finish();
  Plan();
  ASSERT_EQ(job().attempts_size(), 2) << job().reason();
  const v1::ProfilePoint& first = job().attempts(0).profile_point();
  const v1::ProfilePoint& again = job().attempts(1).profile_point();
  EXPECT_EQ(scheduler::PointWords(again), scheduler::PointWords(first));
  EXPECT_GT(again.steps(), 20 * first.steps());
  EXPECT_EQ(again.gain_percent(), 0);
  Finish();
  EXPECT_NEAR(last().receipt().run().seconds(), 20, 2);
  Plan();
  ASSERT_EQ(job().attempts_size(), 3) << job().reason();
  EXPECT_NE(scheduler::PointWords(job().attempts(2).profile_point()), scheduler::PointWords(first));
}

TEST_F(ProfilingTest, AFailedPointIsToldAndNotTriedAgain) {
  Submit(Profile());
  Plan();
  const std::string first = Points()[0];
  Fail(v1::FAILURE_CLASS_DEVICE, "out of memory");
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job().reason(), absl::StrCat(first, " failed and is not tried again: out of memory"));
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(job().reason(),
              HasSubstr(absl::StrCat("failed and not tried again: ", first, " (out of memory)")));
  const std::vector<std::string> points = Points();
  EXPECT_EQ(std::count(points.begin(), points.end(), first), 1);
}

TEST_F(ProfilingTest, AJobWhoseRunsAllFailFails) {
  Submit(Profile({4}));
  for (int i = 0; i < 5 && !IsTerminal(job().state()); ++i) {
    Plan();
    if (job().state() == v1::JOB_STATE_ACTIVE) {
      Fail(v1::FAILURE_CLASS_POWER, "the guard stopped it");
    }
  }
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job().attempts_size(), 2) << "one run in each mode";
  EXPECT_THAT(job().reason(), HasSubstr("the guard stopped it"));
}

// The time limit of a run is the point's failure too.
TEST_F(ProfilingTest, ARunBeyondItsTimeLimitIsAFailedPoint) {
  v1::JobSpec spec = Profile({4});
  spec.set_timeout_seconds(30);
  Submit(spec);
  Plan();
  Begin();
  observations_.progress[AttemptId("j1.1")].set_elapsed_seconds(31);
  elapsed_ += absl::Hours(2);
  Hear();
  Do(Tick{});
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(job().reason(), HasSubstr("failed and is not tried again"));
}

// A run that does not fit is no reason to call the whole job impossible.
TEST_F(ProfilingTest, ABusyDeviceDoesNotMakeTheJobImpossible) {
  Submit(Profile({4, 2}));
  Plan();
  Finish();
  inputs_.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                               const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = int64_t{1} << (spec.finetune().batch_size() > 2 ? 40 : 20)};
  };
  v1::JobSpec first = Finetune();
  first.set_priority(100);
  first.mutable_finetune()->set_batch_size(2);
  Submit(first);
  for (int i = 0; i < 3; ++i) {
    const PlanComputed plan = Plan();
    EXPECT_FALSE(state_.jobs.at(1).impossible()) << job().reason();
    const auto waiting = std::find_if(plan.jobs.begin(), plan.jobs.end(),
                                      [](const auto& each) { return each.job == JobId("j1"); });
    ASSERT_NE(waiting, plan.jobs.end());
    EXPECT_TRUE(waiting->placement.wait() || waiting->profile_end.has_value());
  }
  EXPECT_EQ(job("j2").state(), v1::JOB_STATE_ACTIVE);
}

TEST_F(ProfilingTest, AFaultOfTheSpecFailsTheJob) {
  Submit(Profile());
  Plan();
  Fail(v1::FAILURE_CLASS_DATA, "not a SQuAD file");
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job().reason(), HasSubstr("not a SQuAD file"));
}

TEST_F(ProfilingTest, AStoppedRunIsMadeAgain) {
  Submit(Profile({4}));
  Plan();
  Begin();
  const std::string first = Points()[0];
  v1::Report report;
  Tell(report, &v1::Report::mutable_stopped);
  Send(report);
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  elapsed_ += absl::Minutes(1);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  const std::vector<std::string> points = Points();
  EXPECT_EQ(std::count(points.begin(), points.end(), first), 2);
}

TEST_F(ProfilingTest, ACancelledJobMakesNoFurtherRun) {
  Submit(Profile());
  Plan();
  Finish();
  Do(CancelJob{JobId("j1"), ""});
  Plan();
  EXPECT_EQ(job().state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(job().attempts_size(), 1);
}

// The state depends only on the events, and the restarted coordinator continues with the same run.
TEST_F(ProfilingTest, AReplayedJournalGoesOnWithTheSameRun) {
  Submit(Profile());
  Plan();
  Finish();
  State replayed;
  for (const v1::Event& event : events_) {
    Apply(replayed, event, kReplayed);
  }
  EXPECT_EQ(SnapshotBytes(replayed), SnapshotBytes(state_));
  const auto next = [&](const State& state) {
    const PlanComputed plan = ComputePlan(MakeSnapshot(state, observations_, inputs_, Now()));
    EXPECT_EQ(plan.jobs.size(), 1U);
    return plan.jobs[0].profile_point.value_or(v1::ProfilePoint()).SerializeAsString();
  };
  EXPECT_NE(next(state_), "");
  EXPECT_EQ(next(replayed), next(state_));
  const absl::StatusOr<State> parsed = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(next(*parsed), next(state_));
}

// A plan that was computed before the latest run ended does not end the job.
TEST_F(ProfilingTest, AnOldPlanEndsNothing) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->set_runs_max(1);
  Submit(spec);
  Plan();
  Finish();
  const PlanComputed old = ComputePlan(MakeSnapshot(state_, observations_, inputs_, Now()));
  ASSERT_TRUE(old.jobs[0].profile_end.has_value());
  PlanComputed stale = old;
  stale.computed_on = SequenceNumber(1);
  Do(stale);
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  Do(old);
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(ProfilingTest, APlanTellsTheFirstRunAndWhatAllRunsTake) {
  v1::PlanRequest request;
  *request.mutable_spec() = Profile();
  const auto plan = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->chosen_device_id(), kProfiledBoard) << plan->reason();
  EXPECT_GT(plan->candidates(0).prediction().run_seconds().mean(), 0);
  EXPECT_GT(plan->candidates(0).prediction().run_energy_joules().mean(), 0);
  EXPECT_EQ(plan->candidates(0).prediction().upload_bytes(), 0) << "nothing is kept";
  EXPECT_EQ(plan->candidates(0).prediction().checkpoint_seconds(), 0);
  EXPECT_THAT(plan->reason(), HasSubstr("one run for each of 4 points takes together about"));
  request.mutable_spec()->set_energy_budget_wh(1e-6);
  const auto poor = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(poor, IsOk());
  EXPECT_THAT(poor->reason(), HasSubstr("of its energy budget of"));
  EXPECT_THAT(CheckPossible(state_, {}, inputs_, request.spec(), Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("energy budget")));
}

}  // namespace
}  // namespace wattle::core
