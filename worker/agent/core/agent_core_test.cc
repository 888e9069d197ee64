// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core in virtual time, with fake ports: what is accepted, run, paused, resumed and reported.
#include "worker/agent/core/agent_core.h"

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

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(AgentCoreTest, AnAttemptGoesFromAcceptanceToItsReceipt) {
  Welcome();
  StartTraining();
  for (int step = 1; step <= 4; ++step) {
    Pass(absl::Seconds(5));
    StepDone(step);
  }
  Phase("save");
  Pass(absl::Seconds(1));
  Result();
  ASSERT_EQ(ports_.uploads.size(), 1U);
  Pass(absl::Seconds(3));
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "finished"));
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.run().seconds(), 20, 0.11);
  EXPECT_NEAR(receipt.run().gross_energy_joules(), 200, 1.1);
  EXPECT_NEAR(receipt.run().mean_power_watts(), 10, 1e-6);
  EXPECT_NEAR(receipt.start_seconds(), 2, 0.11);
  EXPECT_NEAR(receipt.checkpoint_seconds(), 1, 0.11);
  EXPECT_NEAR(receipt.upload_seconds(), 3, 0.11);
  EXPECT_NEAR(receipt.total().gross_energy_joules(), 260, 4);
  EXPECT_EQ(receipt.output_artifact_id(), "abc");
  EXPECT_FALSE(receipt.numerically_continued());
  ASSERT_EQ(receipt.curve_size(), 4) << "a point of each step";
  EXPECT_EQ(receipt.curve(3).step(), 4);
  EXPECT_NEAR(receipt.curve(3).seconds(), 20, 0.11);
  EXPECT_NEAR(receipt.curve(3).power_watts(), 10, 1e-6);
  EXPECT_EQ(Last("finished").finished().fencing_token(), 7);
  // The ledger's parts hold all measured energy.
  const v1::EnergyLedger& ledger = Last("ledger").ledger();
  EXPECT_NEAR(ledger.attempt_energy_joules(), receipt.total().gross_energy_joules(), 1e-6);
  EXPECT_EQ(core_->Counters().tokens, 400);
  EXPECT_EQ(core_->Counters().attempts.at(v1::ATTEMPT_STATE_FINISHED), 1);
  EXPECT_THAT(Logs(),
              ElementsAre("the runner starts on cpu, 1 thread", "load", "train", "save", "done"));
}

TEST_F(AgentCoreTest, AModelIsUploadedWithTheFormatOfEveryTensor) {
  Welcome();
  StartTraining();
  ASSERT_THAT(disk_.Replace(ports_.tasks.back().output_directory() + "/model", "weights"), IsOk());
  v1::RunnerFrame frame;
  v1::RunnerResult& result = *frame.mutable_result();
  result.set_parameter_count(100);
  result.set_quantization("int4-g64+1x8b31f0429f0c21d4");
  result.mutable_recipe()->mutable_matrices()->set_bits(4);
  result.mutable_recipe()->add_exceptions()->set_tensor("layers.0.qkv.weight");
  core_->OnFrame(frame, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_EQ(ports_.uploaded.quantization(), result.quantization());
  EXPECT_EQ(ports_.uploaded.recipe().SerializeAsString(), result.recipe().SerializeAsString());
}

TEST_F(AgentCoreTest, TheReceiptSaysWhatTheResultSays) {
  Welcome();
  StartTraining();
  Phase("save");
  v1::RunnerFrame frame;
  frame.mutable_result()->set_numerically_continued(true);
  core_->OnFrame(frame, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Uploaded();
  EXPECT_TRUE(Last("finished").finished().receipt().numerically_continued());
}

TEST_F(AgentCoreTest, AResultThatTheCoordinatorCannotTakeWaitsAndSaysWhy) {
  Welcome();
  StartTraining();
  StepDone(4);
  Result();
  for (int refusal = 1; refusal <= 12; ++refusal) {
    UploadResult refused;
    refused.status = absl::ResourceExhaustedError("disk full");
    core_->OnUploaded(refused, Now());
    EXPECT_THAT(core_->MakeHeartbeat(Now()).progress(0).waiting_reason(), HasSubstr("disk full"));
    Pass(absl::Minutes(5));
    ASSERT_EQ(ports_.uploads.size(), static_cast<size_t>(refusal) + 1);
  }
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "finished"));
  EXPECT_EQ(ports_.tasks.size(), 1U) << "nothing was trained twice";
}

TEST_F(AgentCoreTest, ACompleteResultOfAnOpenJobIsReportedAlsoWhenItIsLate) {
  Welcome();
  StartTraining();
  StepDone(4);
  Result();
  v1::CoordinatorMessage message;
  message.mutable_desired()->add_keep_checkpoint_job_ids("j1");
  core_->OnMessage(message, Now());
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "finished"));
}

TEST_F(AgentCoreTest, TheNextAttemptOfTheJobGoesOnFromItsCheckpoint) {
  Welcome();
  StartTraining();
  ASSERT_THAT(disk_.Replace("attempts/j1.1/work/checkpoint-0000000002/model", "weights"), IsOk());
  Checkpoint(2);
  v1::CoordinatorMessage message;
  message.mutable_desired()->add_keep_checkpoint_job_ids("j1");
  core_->OnMessage(message, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  core_->OnMessage(message, Now());
  EXPECT_EQ(Last("stopped").stopped().checkpoint_step(), 2);
  v1::Assignment next = Job("j1.2");
  next.set_resume_attempt_id("j1.1");
  Desire({next});
  EXPECT_THAT(disk_.Read("attempts/j1.2/work/checkpoint-0000000002/model"), IsOk());
}

TEST_F(AgentCoreTest, AReleasedAttemptLeavesWithItsCheckpoint) {
  Welcome();
  StartTraining();
  Checkpoint(2);
  v1::CoordinatorMessage message;
  message.mutable_desired()->add_keep_checkpoint_job_ids("j1");
  v1::ReleaseAttempt& release = *message.mutable_desired()->add_releases();
  release.set_attempt_id("j1.1");
  release.set_fencing_token(7);
  core_->OnMessage(message, Now());
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  ASSERT_EQ(ports_.uploads.size(), 1U);
  EXPECT_THAT(ports_.uploads[0], HasSubstr("j1.1/work/checkpoint-0000000002"));
  UploadResult refused;
  refused.status = absl::UnavailableError("the link");
  core_->OnUploaded(refused, Now());
  Pass(absl::Seconds(6));
  ASSERT_EQ(ports_.uploads.size(), 2U);
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
  EXPECT_EQ(Last("stopped").stopped().checkpoint().artifact_id(), "abc");
  EXPECT_EQ(Last("stopped").stopped().checkpoint_step(), 2);
}

TEST_F(AgentCoreTest, ARepeatedDesiredSetStartsNothingTwice) {
  Welcome();
  Desire({Job("j1.1")});
  Desire({Job("j1.1")});
  EXPECT_THAT(Facts(), ElementsAre("accepted"));
  EXPECT_EQ(ports_.fetches, 1);
}

TEST_F(AgentCoreTest, AnAttemptThatIsNoLongerDesiredIsStoppedAndReportedWithItsEnergy) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(10));
  StepDone(1);
  Desire({});
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
  EXPECT_NEAR(Last("stopped").stopped().receipt().run().gross_energy_joules(), 100, 2);
  Desire({});
  EXPECT_TRUE(state_->ReadAttempts().empty());
}

TEST_F(AgentCoreTest, ARunnerThatDoesNotStopIsKilled) {
  Welcome();
  StartTraining();
  Desire({});
  PassAlive(absl::Seconds(118), 0.5);
  EXPECT_EQ(ports_.kills, 0);
  PassAlive(absl::Seconds(4), 0.5);
  EXPECT_EQ(ports_.kills, 1);
}

TEST_F(AgentCoreTest, ACrashedRunnerGoesOnInTheSameAttemptAFewTimes) {
  Welcome();
  StartTraining();
  Checkpoint(2);
  for (int crash = 1; crash <= 3; ++crash) {
    core_->OnRunnerExit({.failure_class = v1::FAILURE_CLASS_DEVICE, .message = "runner: killed"},
                        Now());
    ASSERT_EQ(ports_.tasks.size(), static_cast<size_t>(crash) + 1);
    Phase("load");
    Phase("train", 2);
  }
  core_->OnRunnerExit({.failure_class = v1::FAILURE_CLASS_DEVICE, .message = "runner: killed"},
                      Now());
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DEVICE);
  EXPECT_EQ(Last("failed").failed().receipt().restarts(), 3);
}

// A solar mast restarts the agent every night, so three nights would use up the allowed crashes.
TEST_F(AgentCoreTest, PowerCutsAreNotCrashesOfTheRunner) {
  Welcome();
  StartTraining();
  for (int night = 1; night <= 5; ++night) {
    Boot();
    core_->Step(Now());
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train", 2);
  }
  Killed();
  EXPECT_EQ(Facts().back(), "started");
  Phase("load");
  Phase("train", 2);
  Result();
  Uploaded();
  EXPECT_EQ(Last("finished").finished().receipt().restarts(), 6);
  EXPECT_EQ(Last("finished").finished().receipt().runner_crashes(), 1);
}

TEST_F(AgentCoreTest, ANewerCheckpointForgivesCrashes) {
  Welcome();
  StartTraining();
  for (int crash = 1; crash <= 10; ++crash) {
    Checkpoint(crash);
    Killed();
    Phase("load");
    Phase("train", crash);
  }
  EXPECT_EQ(Facts().back(), "started");
  for (int crash = 1; crash <= 3; ++crash) {
    Checkpoint(10);  // the same checkpoint again, so no progress
    Killed();
    Phase("load");
    Phase("train", 10);
  }
  Killed();
  EXPECT_EQ(Facts().back(), "failed");
}

// Each runner writes a checkpoint and is killed before the agent receives its frame.
TEST_F(AgentCoreTest, ACheckpointThatNoRunnerToldOfForgivesCrashes) {
  Welcome();
  StartTraining();
  for (int crash = 1; crash <= 10; ++crash) {
    Killed();
    Phase("load");
    Phase("train", crash);
  }
  EXPECT_EQ(Facts().back(), "started");
  for (int crash = 1; crash <= 3; ++crash) {
    Killed();
    Phase("load");
    Phase("train", 10);
  }
  EXPECT_EQ(Facts().back(), "started");
  Killed();
  EXPECT_EQ(Facts().back(), "failed");
}

// Works offline too.
TEST_F(AgentCoreTest, ARunnerThatFallsSilentIsKilledAndResumedInEveryPhase) {
  v1::Assignment job = Job("j1.1");
  job.set_lease_seconds(0);
  Welcome();
  Desire({job});
  core_->OnDisconnected(Now());
  core_->OnFetched({}, Now());
  int kills = 0;
  for (const char* phase : {"load", "evaluate", "train", "checkpoint", "save"}) {
    Phase(phase);
    PassAlive(absl::Seconds(10), 0.5);
    EXPECT_EQ(ports_.kills, kills) << phase;
    EXPECT_LE(core_->NextStep(Now()), wall_ + absl::Minutes(1));
    Pass(absl::Seconds(62));
    ++kills;
    ASSERT_EQ(ports_.kills, kills) << phase;
    Checkpoint(kills);  // so that the crash is not one without progress
    Killed();
    ASSERT_EQ(ports_.tasks.size(), static_cast<size_t>(kills) + 1) << phase;
    ASSERT_THAT(ports_.notes.back(), HasSubstr(phase));
    ASSERT_THAT(ports_.notes.back(), HasSubstr("said nothing"));
  }
}

TEST_F(AgentCoreTest, ALongStepDoesNotCountAsAHang) {
  v1::Assignment job = Job("j1.1");
  job.set_lease_seconds(0);
  Welcome();
  Desire({job});
  core_->OnFetched({}, Now());
  Phase("train");
  PassAlive(absl::Minutes(40), 0.9);
  EXPECT_EQ(ports_.kills, 0);
  PassAlive(absl::Minutes(11), 0.00001);
  EXPECT_EQ(ports_.kills, 1);
}

TEST_F(AgentCoreTest, ATimeoutEndsAStepThatNeverEnds) {
  v1::Assignment job = Job("j1.1");
  job.mutable_spec()->set_timeout_seconds(30);
  Welcome();
  Desire({job});
  core_->OnFetched({}, Now());
  Phase("train");
  PassAlive(absl::Seconds(28), 0.9);
  EXPECT_EQ(ports_.kills, 0);
  PassAlive(absl::Seconds(4), 0.9);
  EXPECT_EQ(ports_.kills, 1);
  Killed();
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_JOB);
  EXPECT_THAT(Last("failed").failed().message(), HasSubstr("timeout_seconds"));
}

TEST_F(AgentCoreTest, AHeartbeatTellsClockDiskAndSourceOfItsPower) {
  core_->SetDiskFree(123);
  const v1::Heartbeat heartbeat = core_->MakeHeartbeat(Now());
  EXPECT_EQ(heartbeat.disk_free_bytes(), 123);
  EXPECT_EQ(heartbeat.unix_seconds(), absl::ToDoubleSeconds(Now().civil.time - absl::UnixEpoch()));
  EXPECT_EQ(heartbeat.power_source(), account_->origin().source);
}

TEST_F(AgentCoreTest, AnIdleWorkerWithoutACoordinatorWakesForItsRecordsAlone) {
  Pass(absl::Minutes(1));
  EXPECT_GE(core_->NextStep(Now()) - wall_, absl::Minutes(3));
  Welcome();
  Pass(absl::Seconds(2));
  EXPECT_LE(core_->NextStep(Now()) - wall_, absl::Seconds(1));
  Desire({Job("j1.1")});
  core_->OnDisconnected(Now());
  EXPECT_LE(core_->NextStep(Now()) - wall_, absl::Seconds(1));
}

TEST_F(AgentCoreTest, AFailureFrameKeepsItsClassAndIsNotRepeated) {
  Welcome();
  StartTraining();
  v1::RunnerFrame frame;
  frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_DATA);
  frame.mutable_failure()->set_message("data.json: not SQuAD");
  core_->OnFrame(frame, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DATA);
  EXPECT_EQ(Logs().back(), "failed: data.json: not SQuAD");
  EXPECT_EQ(ports_.tasks.size(), 1U);
}

// A battery that reports volts and amperes: at rest, at 60 to 70 %, then 36 of its 180 kJ flow in
// ten minutes.
TEST_F(AgentCoreTest, ChargeIsCountedAndTheCountIsKeptOverARestart) {
  has_gauge_ = true;
  civil_ = absl::FromUnixSeconds(1'900'022'400);
  Boot();
  Welcome();
  const auto read = [this](double watts, double low, double high) {
    core_->OnBatteryCurrent({.at = Now().device,
                             .source = "ina219",
                             .capacity = FromWattHours(50),
                             .drain = Watts(watts),
                             .rest_drain = Watts(5),
                             .low = Fraction(low),
                             .high = Fraction(high),
                             .rest_time = absl::Minutes(30),
                             .charge_loss = 0.02},
                            Watts(watts));
    return core_->MakeHeartbeat(Now());
  };
  for (int second = 0; second < 1801; ++second) {
    wall_ = wall_ + absl::Seconds(1);
    read(1, 0.6, 0.7);
  }
  v1::Heartbeat heartbeat;
  for (int second = 0; second < 600; ++second) {
    wall_ = wall_ + absl::Seconds(1);
    heartbeat = read(60, 0, 1);
  }
  EXPECT_NEAR(heartbeat.state_of_charge_ratio(), 0.45, 0.01);
  EXPECT_NEAR(heartbeat.gauge_error_ratio(), 0.05 + 0.2 * 0.14, 0.01);
  Pass(absl::Minutes(5));  // written to the disk
  const double error = read(1, 0, 1).gauge_error_ratio();

  Boot();
  heartbeat = read(1, 0, 1);
  EXPECT_NEAR(heartbeat.state_of_charge_ratio(), 0.45, 0.02);
  EXPECT_LT(heartbeat.gauge_error_ratio(), error + 0.03);

  // A reboot: the wall clock shows how long the board was away.
  boot_id_ = "boot 2";
  Pass(absl::Minutes(5));
  Boot();
  heartbeat = read(1, 0, 1);
  EXPECT_NEAR(heartbeat.state_of_charge_ratio(), 0.45, 0.03);
  EXPECT_LT(heartbeat.gauge_error_ratio(), 0.3);

  // The time off is unknown: only the voltage remains.
  boot_id_ = "boot 3";
  civil_ = absl::UnixEpoch();
  Boot();
  EXPECT_NEAR(read(1, 0.2, 0.3).state_of_charge_ratio(), 0.25, 1e-9);
}

TEST_F(AgentCoreTest, AnAttemptRunsInTheModeThatItIsPlacedForWhereThatCanBeSet) {
  v1::Assignment job = Job("j1.1");
  job.set_power_mode("15W");
  Welcome();
  Desire({job});
  EXPECT_THAT(ports_.modes, ElementsAre());  // not allowed
  Desire({});

  sets_power_modes_ = true;
  Boot();
  Welcome();
  job.set_attempt_id("j1.2");
  Desire({job});
  EXPECT_THAT(ports_.modes, ElementsAre("15W"));
  core_->OnFetched({.status = absl::CancelledError("x")}, Now());  // of the attempt before
  Desire({});
  core_->OnFetched({.status = absl::CancelledError("x")}, Now());
  Pass(absl::Seconds(5));
  EXPECT_EQ(Last("stopped").stopped().receipt().power_mode(), "15W");
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "own"));  // while nothing runs

  job.set_power_mode("MAXN");
  job.set_attempt_id("j1.5");
  Desire({job});
  core_->OnFetched({.status = absl::CancelledError("x")}, Now());
  Pass(absl::Seconds(5));
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "own", "MAXN"));
  EXPECT_THAT(ports_.notes,
              testing::Contains(HasSubstr("j1.5: power mode MAXN is not set: only root")));
}

TEST_F(AgentCoreTest, AModeThatCannotBeRestoredIsTriedAgain) {
  sets_power_modes_ = true;
  Boot();
  Welcome();
  v1::Assignment job = Job("j1.1");
  job.set_power_mode("15W");
  Desire({job});
  ports_.restore_fails = true;
  Desire({});
  core_->OnFetched({.status = absl::CancelledError("x")}, Now());
  Pass(absl::Seconds(30));
  EXPECT_THAT(ports_.notes, testing::Contains(HasSubstr("power mode 15W stays: the bus is busy")));
  EXPECT_EQ(std::count_if(ports_.notes.begin(), ports_.notes.end(),
                          [](const std::string& note) { return note.find("stays") != note.npos; }),
            1);
  ports_.restore_fails = false;
  Pass(absl::Seconds(61));
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "own"));
  // The coordinator plans with the board's own mode, also while an attempt runs in another.
  job.set_attempt_id("j1.2");
  Desire({job});
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "own", "15W"));
  core_->OnConnected(Now());
  EXPECT_EQ(LastHello().device().power_mode(), "10W");
}

TEST_F(AgentCoreTest, AFetchWithoutALinkIsTriedAgainAndAMissingArtifactFails) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({.status = absl::UnavailableError("down")}, Now());
  Pass(absl::Seconds(2));
  EXPECT_EQ(ports_.fetches, 2);
  core_->OnFetched({.status = absl::NotFoundError("no such artifact")}, Now());
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DATA);
}

TEST_F(AgentCoreTest, AChunkThatIsDamagedAtItsSourceIsNotFetchedForEver) {
  Welcome();
  Desire({Job("j1.1")});
  for (int i = 1; i <= 2; ++i) {
    core_->OnFetched({.status = absl::DataLossError("chunk ab was changed")}, Now());
    Pass(absl::Seconds(10));
    ASSERT_EQ(ports_.fetches, i + 1);
  }
  core_->OnFetched({.status = absl::UnavailableError("down")}, Now());
  Pass(absl::Seconds(30));
  for (int i = 1; i <= 3; ++i) {
    core_->OnFetched({.status = absl::DataLossError("chunk ab was changed")}, Now());
    Pass(absl::Seconds(31));
  }
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DATA);
}

// Steps differ in length: the first of four steps may have a tenth of the tokens.
TEST_F(AgentCoreTest, TimeLeftIsOfTheTokensToComeWhereTheRunnerKnowsThem) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(10));
  StepDone(1, /*tokens_left=*/900);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).progress(0).remaining_seconds(), 90, 1e-6);
  Pass(absl::Seconds(10));
  StepDone(2);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).progress(0).remaining_seconds(), 20, 1e-6);
}

// The first step allocates memory: it took 3 s, and the others take 2 s at 10 W.
TEST_F(AgentCoreTest, SteadyWorkLeavesTheWarmUpOut) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(3));
  StepDone(1);
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).progress(0).has_steady());
  for (int step = 2; step <= 3; ++step) {
    Pass(absl::Seconds(2));
    StepDone(step);
  }
  const v1::SteadyWork steady = core_->MakeHeartbeat(Now()).progress(0).steady();
  EXPECT_NEAR(steady.seconds(), 4, 1e-6);
  EXPECT_EQ(steady.steps(), 2);
  EXPECT_EQ(steady.tokens(), 200);
  EXPECT_NEAR(steady.covered_seconds(), 4, 0.6);
  EXPECT_NEAR(steady.energy_joules() / steady.covered_seconds(), 10, 0.1);
}

TEST_F(AgentCoreTest, ALongFirstStepCounts) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(20));
  StepDone(1);
  const v1::SteadyWork steady = core_->MakeHeartbeat(Now()).progress(0).steady();
  EXPECT_NEAR(steady.seconds(), 20, 1e-6);
  EXPECT_EQ(steady.tokens(), 100);
}

// A runner that restarts warms up again, and its earlier steps no longer count.
TEST_F(AgentCoreTest, ACrashBeginsTheSteadyWorkAnew) {
  Welcome();
  StartTraining();
  for (int step = 1; step <= 3; ++step) {
    Pass(absl::Seconds(2));
    StepDone(step);
  }
  Killed();
  Pass(absl::Seconds(1));
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).progress(0).has_steady());
  Phase("load");
  Phase("train");
  Pass(absl::Seconds(2));
  StepDone(1);
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).progress(0).has_steady());
}

TEST_F(AgentCoreTest, TwoAttemptsRunOneAfterTheOther) {
  Welcome();
  Desire({Job("j1.1"), Job("j2.1")});
  EXPECT_EQ(ports_.fetches, 1);
  core_->OnFetched({.status = absl::NotFoundError("gone")}, Now());
  EXPECT_EQ(ports_.fetches, 2);
}

}  // namespace
}  // namespace wattle::agent
