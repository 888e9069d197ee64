// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/energy_budget.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/fleet_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Job j1 with a budget of 1 Wh, whose attempt j1.1 is placed.
struct Budgeted {
  Fleet fleet;

  Budgeted() {
    v1::JobSpec spec = Finetune();
    spec.set_energy_budget_wh(1);
    spec.set_retries(3);
    Do(fleet.state, fleet.observations, SubmitJob{spec, "key"});
    Do(fleet.state, fleet.observations, Plan());
  }
  [[nodiscard]] PlanComputed Plan() const {
    return ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now()));
  }
  void Draws(double joules) {
    fleet.observations.progress[AttemptId("j1.1")].set_energy_joules(joules);
    Do(fleet.state, fleet.observations, Tick{});
  }
  [[nodiscard]] const v1::Job& job() const { return FindJob(fleet.state, JobId("j1"))->job(); }
};

TEST(EnergyBudgetTest, AJobEndsWhenItsAttemptsHaveDrawnTheBudget) {
  Budgeted world;
  ASSERT_EQ(world.job().state(), v1::JOB_STATE_ACTIVE) << world.job().reason();
  world.Draws(3599);
  EXPECT_EQ(world.job().state(), v1::JOB_STATE_ACTIVE);
  world.Draws(3601);
  EXPECT_EQ(world.job().state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(world.job().reason(), StartsWith("its energy budget of 1.00 Wh is spent"));
  EXPECT_EQ(world.job().attempts(0).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_EQ(world.job().attempts(0).receipt().failure_class(), v1::FAILURE_CLASS_JOB);
}

TEST(EnergyBudgetTest, EarlierAttemptsCount) {
  Budgeted world;
  v1::Attempt& earlier = *world.fleet.state.jobs.Mutable(1).mutable_job()->add_attempts();
  earlier.set_attempt_id("j1.0");
  earlier.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
  earlier.mutable_receipt()->mutable_total()->set_gross_energy_joules(3000);
  EXPECT_EQ(SpentEnergy(world.job()), Joules(3000));
  world.Draws(599);
  EXPECT_EQ(world.job().state(), v1::JOB_STATE_ACTIVE);
  world.Draws(601);
  EXPECT_EQ(world.job().state(), v1::JOB_STATE_FAILED);
}

// Readers get the ended attempts by their receipts, and the running one by its reports.
TEST(EnergyBudgetTest, AnAnswerTellsWhatTheJobHasSpent) {
  Budgeted world;
  const auto spent = [&world] {
    return DescribeJob(world.fleet.state, world.fleet.observations, JobId("j1"), Now())
        .spent_energy_joules();
  };
  EXPECT_EQ(spent(), 0);
  world.fleet.observations.progress[AttemptId("j1.1")].set_energy_joules(250);
  EXPECT_EQ(spent(), 250);
  v1::Attempt& earlier = *world.fleet.state.jobs.Mutable(1).mutable_job()->add_attempts();
  earlier.set_attempt_id("j1.0");
  earlier.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
  earlier.mutable_receipt()->mutable_total()->set_gross_energy_joules(3000);
  EXPECT_EQ(spent(), 3250);
  // For an ended attempt only its receipt counts.
  world.Draws(3600);
  ASSERT_EQ(world.job().state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(spent(), SpentEnergy(world.job()).value());
}

TEST(EnergyBudgetTest, NoAttemptStartsThatWouldDrawMoreThanIsLeft) {
  Fleet fleet;
  v1::JobSpec spec = Finetune();
  spec.set_energy_budget_wh(1e-6);
  Do(fleet.state, fleet.observations, SubmitJob{spec, "key"});
  const PlanComputed plan = ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now()));
  ASSERT_EQ(plan.jobs.size(), 1U);
  EXPECT_TRUE(plan.jobs[0].never);
  EXPECT_THAT(plan.jobs[0].placement.reason(), HasSubstr("feasible with a budget of"));
}

// The receipt of an attempt that was cut off may arrive while a plan is computed.
TEST(EnergyBudgetTest, APlanOfBeforeALateReceiptStartsNothing) {
  Budgeted world;
  State& state = world.fleet.state;
  v1::Report late;
  late.set_sequence(1);
  late.mutable_stopped()->set_attempt_id("j1.1");
  late.mutable_stopped()->set_fencing_token(world.job().attempts(0).fencing_token());
  late.mutable_stopped()->mutable_receipt()->mutable_total()->set_gross_energy_joules(3599.9);
  Do(state, world.fleet.observations, DrainDevice{DeviceId("device-1"), "card swap"});
  Do(state, world.fleet.observations, ResumeDevice{DeviceId("device-1")});
  ASSERT_EQ(world.job().state(), v1::JOB_STATE_QUEUED) << world.job().reason();
  const PlanComputed before = world.Plan();
  ASSERT_FALSE(before.jobs[0].placement.device_id().empty());
  Do(state, world.fleet.observations, WorkerReport{DeviceId("device-1"), 1, late});
  ASSERT_EQ(SpentEnergy(world.job()), Joules(3599.9));
  Do(state, world.fleet.observations, before);
  EXPECT_EQ(world.job().state(), v1::JOB_STATE_QUEUED);
  Do(state, world.fleet.observations, world.Plan());
  EXPECT_NE(world.job().state(), v1::JOB_STATE_ACTIVE) << "nor does a plan of after";
}

// Older workers send such a receipt for attempts that they never began.
TEST(EnergyBudgetTest, AReceiptOfNoWorkIsNotKept) {
  Budgeted world;
  v1::Report stopped;
  stopped.set_sequence(1);
  stopped.mutable_stopped()->set_attempt_id("j1.1");
  stopped.mutable_stopped()->set_fencing_token(world.job().attempts(0).fencing_token());
  stopped.mutable_stopped()->mutable_receipt();
  Do(world.fleet.state, world.fleet.observations, WorkerReport{DeviceId("device-1"), 1, stopped});
  ASSERT_EQ(world.job().attempts(0).state(), v1::ATTEMPT_STATE_SUPERSEDED);
  EXPECT_FALSE(world.job().attempts(0).has_receipt());
  stopped.set_sequence(2);
  Do(world.fleet.state, world.fleet.observations, WorkerReport{DeviceId("device-1"), 1, stopped});
  EXPECT_FALSE(world.job().attempts(0).has_receipt()) << "nor one that comes late";
}

// The Pi has the lower id, and the Orin Nano needs fewer joules.
TEST(EnergyBudgetTest, ARefusedSubmitNamesTheBoardOfFewestJoules) {
  Fleet fleet;
  v1::Hello hello;
  hello.set_incarnation(1);
  *hello.mutable_device() = FindDevice(fleet.state, DeviceId("device-1"))->info();
  hello.mutable_device()->set_device_id("device-0");
  hello.mutable_device()->set_name("pi");
  hello.mutable_device()->set_device_class("raspberry-pi-5");
  Do(fleet.state, fleet.observations, WorkerHello{hello});
  v1::JobSpec spec = Finetune();
  spec.set_energy_budget_wh(1e-6);
  EXPECT_THAT(CheckPossible(fleet.state, {}, {}, spec, Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the nearest is orin")));
}

}  // namespace
}  // namespace wattle::core
