// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the limits of a profile job: its runs_max, joules and memory.

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/exploration.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/profiling_for_test.h"
#include "proto/peak_memory.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(ProfilingTest, RunsMaxEndsTheJob) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->set_runs_max(2);
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job().attempts_size(), 2);
  EXPECT_THAT(job().reason(), HasSubstr("its runs_max of 2 is reached"));
}

TEST_F(ProfilingTest, TheBudgetEndsTheJobBeforeTheRunThatWouldBreakIt) {
  Submit(Profile());
  RunToTheEnd();
  const double first = job().attempts(0).receipt().total().gross_energy_joules();
  const double all = SpentEnergy(job()).value();
  ASSERT_GT(job().attempts_size(), 2);
  state_ = State();
  events_.clear();
  sequence_ = 0;
  Do(CommitArtifact{TinyModel()});
  Do(CommitArtifact{Questions(1'000'000)});
  Connect();
  v1::JobSpec spec = Profile();
  spec.set_energy_budget_wh((first + 0.6 * (all - first)) / 3600);
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  EXPECT_THAT(job().reason(), HasSubstr("of its energy budget of"));
  EXPECT_GE(job().attempts_size(), 1);
  EXPECT_LE(SpentEnergy(job()).value(), 3600 * spec.energy_budget_wh());
}

// Without a budget of its own a job has what the policies leave for exploring.
TEST_F(ProfilingTest, TheDeviceExploresForAShareOfTheJoulesOfItsDay) {
  v1::JobSpec spec = Profile();
  spec.clear_energy_budget_wh();
  v1::Policy policy;
  policy.set_name("field");
  policy.set_exploration_ratio(0);
  Do(ApplyPolicy{policy});
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED) << "nothing was measured";
  EXPECT_THAT(job().reason(), AllOf(HasSubstr("exploring may draw 0.0 J more of orin today"),
                                    HasSubstr("energy_budget_wh")));
  EXPECT_EQ(job().attempts_size(), 0);
  Do(DeletePolicy{"field"});
  const auto left = [&] {
    const v1::Device device =
        DescribeDevice(state_, observations_, DeviceId(kProfiledBoard), Now());
    return ExplorationOf(state_, device, Now().wall).left.value();
  };
  // 2 W of idle draw.
  EXPECT_DOUBLE_EQ(left(), 0.02 * 2 * 86400);

  // Yesterday's work drew 50 kJ in an hour, and today's counts for tomorrow.
  const auto worked = [&](double joules, double hours_ago) {
    v1::Job& of = *state_.jobs.Mutable(1).mutable_job();
    *of.mutable_spec() = Finetune();
    v1::Attempt& attempt = *of.add_attempts();
    attempt.set_device_id(kProfiledBoard);
    attempt.set_state(v1::ATTEMPT_STATE_FINISHED);
    attempt.set_finished_unix_seconds(ToUnix(Now().wall) - 3600 * hours_ago);
    attempt.mutable_receipt()->mutable_total()->set_gross_energy_joules(joules);
    attempt.mutable_receipt()->mutable_total()->set_seconds(3600);
  };
  worked(50'000, 24);
  worked(70'000, 0);
  const double share = 50'000 + 2.0 * (86400 - 3600);
  EXPECT_DOUBLE_EQ(left(), 0.02 * share);
  policy.set_exploration_ratio(0.1);
  Do(ApplyPolicy{policy});
  EXPECT_DOUBLE_EQ(left(), 0.1 * share);
  Do(DeletePolicy{"field"});

  Submit(spec);  // j2
  Plan();
  ASSERT_EQ(job("j2").attempts_size(), 1) << job("j2").reason();
  v1::Attempt& run = *state_.jobs.Mutable(2).mutable_job()->mutable_attempts(0);
  run.set_state(v1::ATTEMPT_STATE_FINISHED);
  run.set_finished_unix_seconds(ToUnix(Now().wall));
  run.mutable_receipt()->mutable_total()->set_gross_energy_joules(700);
  EXPECT_DOUBLE_EQ(left(), 0.02 * share - 700);
  state_.jobs.Mutable(2).mutable_job()->mutable_spec()->set_energy_budget_wh(1);
  EXPECT_DOUBLE_EQ(left(), 0.02 * share) << "a person has decided on that job's joules";
}

// The plan's own prediction is longer where heat slows the board. If it decided too, a run that was
// chosen could wait without a reason.
TEST_F(ProfilingTest, ARunStartsByTheJoulesByWhichItWasChosen) {
  v1::JobSpec spec = Profile();
  spec.clear_energy_budget_wh();
  Submit(spec);
  PlanComputed plan = ComputePlan(MakeSnapshot(state_, observations_, inputs_, Now()));
  ASSERT_EQ(plan.jobs.size(), 1U);
  Joules& demand = plan.jobs[0].profile_demand;
  const Joules chosen_by = demand;
  v1::Interval& energy = *plan.jobs[0].prediction.mutable_run_energy_joules();
  EXPECT_GT(chosen_by.value(), energy.mean()) << "loading counts too";
  energy.set_mean(1e9);
  demand = Joules(0.021 * 2 * 86400);  // The device's share is 0.02, of 2 W of idle draw.
  Do(plan);
  EXPECT_EQ(job().attempts_size(), 0) << "others may have begun since the plan";
  demand = chosen_by;
  Do(plan);
  EXPECT_EQ(job().attempts_size(), 1) << job().reason();
}

// A first prediction may be a thousand times too fast.
TEST_F(ProfilingTest, ARunIsStoppedOnceItDrewWhatExploringMay) {
  v1::JobSpec spec = Profile();
  spec.clear_energy_budget_wh();
  Submit(spec);
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  Begin();
  const double share = 0.02 * 2 * 86400;  // 2 W of idle draw.
  observations_.progress[AttemptId("j1.1")].set_energy_joules(0.99 * share);
  Do(Tick{});
  EXPECT_EQ(job().state(), v1::JOB_STATE_ACTIVE);
  observations_.progress[AttemptId("j1.1")].set_energy_joules(1.01 * share);
  Do(Tick{});
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED) << "nothing was measured";
  EXPECT_THAT(job().reason(),
              HasSubstr("its run drew 3490.6 J, and exploring may draw 3456.0 J of orin "
                        "today; submit again with an energy_budget_wh"));
  EXPECT_THAT(MeasuredRows(), IsEmpty());
}

TEST_F(ProfilingTest, ABatchThatDoesNotFitIsLeftOutAndTold) {
  inputs_.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                               const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = int64_t{1} << (spec.finetune().batch_size() > 2 ? 40 : 20)};
  };
  Submit(Profile());
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  EXPECT_THAT(job().reason(), HasSubstr("too large for its memory: batch 4"));
  for (const v1::Attempt& attempt : job().attempts()) {
    EXPECT_EQ(attempt.profile_point().batch_size(), 2);
  }
}

// 7 GiB fit into the 7.6 GiB that are usable, and not with what CUDA takes of them.
TEST_F(ProfilingTest, ABatchThatFitsTheCoresAndNotTheGpuIsLeftToTheCores) {
  is_jetson_ = true;
  Connect();
  inputs_.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                               const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = int64_t{spec.finetune().batch_size() > 2 ? 7 : 1} << 30};
  };
  Submit(Profile());
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  EXPECT_THAT(job().reason(), HasSubstr("too large for its memory: batch 4"));
  v1::PlanRequest request;
  *request.mutable_spec() = Profile({4});
  const auto gpu = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(gpu, IsOk());
  EXPECT_EQ(gpu->chosen_device_id(), "");
  request.mutable_spec()->set_accelerator(v1::ACCELERATOR_CPU);
  const auto cores = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(cores, IsOk());
  EXPECT_EQ(cores->chosen_device_id(), kProfiledBoard) << cores->reason();
  EXPECT_TRUE(cores->candidates(0).on_cpu());
}

}  // namespace
}  // namespace wattle::core
