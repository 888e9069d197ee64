// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// External limits on the core's work: leases, reserves, budgets, limits that cannot be read.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(AgentCoreTest, LimitsThatCannotBeReadHoldWorkUntilTheCoordinatorSendsThem) {
  Welcome();
  Desire({Job("j1.1")}, 0.3);
  const int fetches = ports_.fetches;
  ASSERT_THAT(disk_.Replace("desired.pb", ""), IsOk());
  ASSERT_THAT(disk_.Replace("desired.pb.copy", "damaged"), IsOk());
  Boot();
  Pass(absl::Seconds(10));
  EXPECT_EQ(ports_.fetches, 0) << fetches;
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_reason(), HasSubstr("cannot be read"));
  Welcome();
  Desire({Job("j1.1")});
  EXPECT_EQ(ports_.fetches, 1);
}

TEST_F(AgentCoreTest, AHeartbeatWarnsOfACertificateThatIsNotRenewed) {
  Welcome();
  core_->SetSensorWarning("gauge: stuck");
  core_->SetCertificateProblem("certificate: not renewed: the disk is full");
  EXPECT_EQ(core_->MakeHeartbeat(Now()).guard_warning(),
            "gauge: stuck; certificate: not renewed: the disk is full");
  core_->SetCertificateProblem("");
  EXPECT_EQ(core_->MakeHeartbeat(Now()).guard_warning(), "gauge: stuck");
}

TEST_F(AgentCoreTest, TheLeaseRunsInPoweredOnTimeAndEndsInACheckpoint) {
  Welcome();
  StartTraining();
  core_->OnDisconnected(Now());
  Pass(absl::Seconds(59));
  EXPECT_EQ(ports_.stops, 0);
  Pass(absl::Seconds(2));
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Last("paused").paused().reason(), HasSubstr("lease"));
  Pass(absl::Seconds(30));
  EXPECT_EQ(ports_.fetches, 1);
  Welcome();
  Desire({Job("j1.1")});
  EXPECT_EQ(ports_.fetches, 2);
}

TEST_F(AgentCoreTest, ALeaseThatIsRenewedByContactDoesNotEnd) {
  Welcome();
  StartTraining();
  for (int i = 0; i < 5; ++i) {
    core_->OnDisconnected(Now());
    Pass(absl::Seconds(50));
    Welcome();
  }
  EXPECT_EQ(ports_.stops, 0);
}

TEST_F(AgentCoreTest, TheReserveStopsWorkOfflineAndItResumesWithTheCharge) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  v1::Assignment job = Job("j1.1");
  job.set_lease_seconds(86400);
  Desire({job}, 0.3);
  core_->OnFetched({}, Now());
  Phase("train");
  core_->OnDisconnected(Now());
  Charge(0.301);
  core_->Step(Now());
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Last("paused").paused().reason(), HasSubstr("reserve 30 %"));
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_reason(), HasSubstr("reserve"));
  Charge(0.32);
  Pass(absl::Seconds(10));
  EXPECT_EQ(ports_.fetches, 1);
  Charge(0.4);
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.fetches, 2);
}

TEST_F(AgentCoreTest, UnderVoltagePausesWorkAndIsTold) {
  Welcome();
  StartTraining();
  Checkpoint(3);
  core_->OnUnderVoltage(Now().device);
  core_->Step(Now());
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Last("paused").paused().reason(), StartsWith("under-voltage: "));
  EXPECT_EQ(Last("paused").paused().checkpoint_step(), 3);
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_reason(), StartsWith("under-voltage: "));
  Pass(absl::Minutes(9));
  EXPECT_EQ(ports_.fetches, 1);
  Pass(absl::Minutes(2));
  EXPECT_EQ(ports_.fetches, 2) << "it goes on by itself";
}

// The board has been paused for nine minutes when the worker restarts, and then the supply dips
// again.
TEST_F(AgentCoreTest, TheReceiptTellsHowLongAWeakSupplyHeldTheAttempt) {
  Welcome();
  StartTraining();
  Desire({Job("j1.1"), Job("j1.2")});
  const auto dip = [&] { core_->OnUnderVoltage(Now().device); };
  dip();
  Pass(absl::Seconds(20));  // the runner writes its checkpoint, which is work
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Minutes(9));
  Boot();
  dip();
  Welcome();
  Desire({Job("j1.1"), Job("j1.2")});
  Pass(absl::Minutes(11));
  Acknowledge();
  core_->OnFetched({}, Now());
  Phase("train");
  StepDone(4);
  EndRun();
  // The ledger was saved for the last time four minutes before the end of the first process.
  EXPECT_NEAR(Last("finished").finished().receipt().under_voltage_seconds(), (5 + 10) * 60, 30);
  EXPECT_EQ(Last("finished").finished().receipt().paused_seconds(),
            Last("finished").finished().receipt().under_voltage_seconds());
  EXPECT_EQ(Last("finished").finished().receipt().starts(), 2);
  Desire({Job("j1.2")});
  core_->OnFetched({}, Now());
  Phase("train");
  StepDone(4);
  EndRun();
  EXPECT_EQ(Last("finished").finished().receipt().attempt_id(), "j1.2");
  EXPECT_EQ(Last("finished").finished().receipt().paused_seconds(), 0)
      << "it would not have run yet";
  EXPECT_EQ(Last("finished").finished().receipt().starts(), 1);
}

// A measured run leaves neither checkpoint nor result, only its receipt.
TEST_F(AgentCoreTest, AMeasuredRunKeepsAndUploadsNothing) {
  sets_power_modes_ = true;
  Boot();
  Welcome();
  v1::Assignment job = Job("j1.1");
  job.set_power_mode("15W");
  job.mutable_profile_point()->set_batch_size(8);
  Desire({job});
  core_->OnFetched({}, Now());
  Phase("train");
  for (int step = 1; step <= 4; ++step) {
    Pass(absl::Hours(1));
    StepDone(step);
  }
  EXPECT_EQ(ports_.tasks.back().output_directory(), "");
  EXPECT_EQ(ports_.checkpoints, 0);
  EXPECT_EQ(ports_.room_bytes, 0) << "no room is made for checkpoints";
  v1::RunnerFrame frame;
  frame.mutable_result()->mutable_work()->set_steps(4);
  core_->OnFrame(frame, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(1));
  EXPECT_TRUE(ports_.uploads.empty());
  EXPECT_GT(Last("finished").finished().receipt().run().gross_energy_joules(), 0);
  EXPECT_EQ(Last("finished").finished().receipt().power_mode(), "15W");
  Desire({});
  Pass(absl::Seconds(1));
  EXPECT_THAT(ports_.modes, testing::ElementsAre("15W", "own"));
}

TEST_F(AgentCoreTest, AMeasuredRunThatTheGuardCutsOffHasFailedAndRestoresTheMode) {
  has_gauge_ = true;
  sets_power_modes_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  v1::Assignment job = Job("j1.1");
  job.set_power_mode("15W");
  job.mutable_profile_point()->set_batch_size(8);
  Desire({job}, 0.3);
  core_->OnFetched({}, Now());
  Phase("train");
  Pass(absl::Seconds(5));
  Charge(0.301);
  core_->Step(Now());
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(1));
  const v1::AttemptFailed& failed = Last("failed").failed();
  EXPECT_EQ(failed.failure_class(), v1::FAILURE_CLASS_POWER);
  EXPECT_THAT(failed.message(), HasSubstr("the measurement was cut off: "));
  EXPECT_THAT(failed.message(), HasSubstr("reserve 30 %"));
  EXPECT_GT(failed.receipt().total().gross_energy_joules(), 0) << "its joules count";
  EXPECT_EQ(failed.receipt().failure_class(), v1::FAILURE_CLASS_POWER);
  Charge(0.9);
  Pass(absl::Seconds(30));
  EXPECT_EQ(ports_.fetches, 1) << "it does not go on";
  EXPECT_THAT(ports_.modes, testing::ElementsAre("15W", "own"));
}

// The simulation found the fault: a job without checkpoints was paused and restarted forever.
TEST_F(AgentCoreTest, WorkThatIsInterruptedAgainAndAgainWithoutACheckpointGivesUp) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  v1::Assignment job = Job("j1.1");
  job.mutable_spec()->mutable_generate()->add_prompts("how?");
  job.set_lease_seconds(0);
  Desire({job}, 0.3);
  for (int pause = 1; pause <= 7; ++pause) {
    ASSERT_EQ(ports_.fetches, pause);
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("generate");
    Charge(0.301);
    core_->Step(Now());
    ASSERT_EQ(ports_.stops, pause);
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    Charge(0.45);
    Pass(absl::Seconds(1));
  }
  EXPECT_EQ(ports_.fetches, 7);
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_POWER);
  EXPECT_THAT(Last("failed").failed().message(),
              HasSubstr("interrupted more than 6 times in a row"));
}

TEST_F(AgentCoreTest, ANewerCheckpointForgivesPauses) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  v1::Assignment job = Job("j1.1");
  job.set_lease_seconds(0);
  Desire({job}, 0.3);
  for (int pause = 1; pause <= 10; ++pause) {
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train", pause);
    Charge(0.301);
    core_->Step(Now());
    Checkpoint(pause);
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    Charge(0.45);
    Pass(absl::Seconds(1));
  }
  EXPECT_EQ(ports_.fetches, 11);
  EXPECT_EQ(Facts().back(), "paused");
}

TEST_F(AgentCoreTest, TheCoordinatorLearnsAtOnceThatAPolicyStopsOrFreesTheDevice) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  for (const double reserve : {0.9, 0.0, 0.8, 0.2}) {
    ports_.sent.clear();
    Desire({}, reserve);
    const auto heartbeat =
        std::find_if(ports_.sent.begin(), ports_.sent.end(),
                     [](const v1::WorkerMessage& message) { return message.has_heartbeat(); });
    ASSERT_NE(heartbeat, ports_.sent.end()) << reserve;
    EXPECT_EQ(heartbeat->heartbeat().guard_reason().empty(), reserve < 0.5) << reserve;
  }
}

TEST_F(AgentCoreTest, ThePolicyHoldsAfterARestartWithoutTheCoordinator) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.9);
  Desire({Job("j1.1")}, 0.3);
  Boot();
  Charge(0.2);
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 0);
}

// A simulated fleet of thousands found the fault: steps took much longer than predicted, so work
// that the budget had stopped restarted at once and exceeded the budget.
TEST_F(AgentCoreTest, WorkThatABudgetStoppedDoesNotBeginAgainForTheRestOfIt) {
  Welcome();
  TrainOnAWattHourADay();
  for (int step = 1; step <= 4 && ports_.stops == 0; ++step) {
    PassAlive(absl::Minutes(1), 0.5);
    StepDone(step);
  }
  EXPECT_EQ(ports_.stops, 1) << "a step takes a minute, and may take more";
  Checkpoint(3);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(10));
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_reason(), StartsWith("work has drawn"));
  EXPECT_EQ(ports_.fetches, 1);
  civil_ += absl::Hours(24);
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.fetches, 2);
}

TEST_F(AgentCoreTest, AHeartbeatTellsWhatWorkHasDrawnOfTheDaysBudget) {
  Welcome();
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).has_budget_day());
  TrainOnAWattHourADay();
  Pass(absl::Seconds(100));
  EXPECT_TRUE(core_->MakeHeartbeat(Now()).has_budget_day());
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).budget_day_energy_joules(), 1000, 20);
  Boot();  // a kill loses only what was not saved
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).budget_day_energy_joules(), 1000, 170);
  civil_ += absl::Hours(24);
  core_->Step(Now());
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).budget_day_energy_joules(), 0, 170);
}

}  // namespace
}  // namespace wattle::agent
