// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core on a disk that is full or damaged, with a process that is killed.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/agent/core/attempt_facts_internal.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// While idle, saves are five minutes apart, so the start of an attempt must bring the next save
// forward.
TEST_F(AgentCoreTest, AKillLosesAtMostFiftySecondsOfTheLedger) {
  Welcome();
  Pass(absl::Minutes(6));
  StartTraining();
  Pass(2 * kSavePeriod - absl::Seconds(2));
  const double measured = account_->ledger().attempt_energy_joules();
  Boot();
  EXPECT_NEAR(account_->ledger().attempt_energy_joules(), measured, 50 * 10 + 1);
}

// The simulation found the fault: after a power cut between a receipt and its ledger, the
// coordinator's ledger stayed below its receipts for 15 minutes.
TEST_F(AgentCoreTest, AStartReportsTheLedgerOfTheProcessBefore) {
  Welcome();
  StartTraining();
  Pass(kSavePeriod + absl::Seconds(10));
  Boot();
  Pass(absl::Seconds(1));
  EXPECT_GE(Last("ledger").ledger().attempt_energy_joules(), 250);
}

TEST_F(AgentCoreTest, TheEnergySinceBootOutlivesARestartAndBeginsAgainWithAReboot) {
  const auto since_boot = [this] { return core_->Counters().energy_since_boot.value(); };
  Pass(absl::Seconds(100));
  core_->Shutdown(Now());
  const double before = since_boot();
  EXPECT_NEAR(before, 1000, 5);
  EXPECT_EQ(before, account_->total().value());  // of a device that was never booted before
  Boot();
  Pass(absl::Seconds(10));
  EXPECT_NEAR(since_boot(), before + 100, 5);
  core_->Shutdown(Now());

  boot_id_ = "the next boot";
  Boot();
  EXPECT_EQ(since_boot(), 0);
  Pass(absl::Seconds(10));
  EXPECT_NEAR(since_boot(), 100, 5);
  EXPECT_GT(account_->total().value(), 1190);
}

TEST_F(AgentCoreTest, AKillInALongFetchLosesAtMostFiftySecondsToo) {
  Welcome();
  Pass(absl::Minutes(6));
  Desire({Job("j1.1")});
  Pass(3 * kSavePeriod - absl::Seconds(2));
  const double measured = account_->ledger().attempt_energy_joules();
  ASSERT_GT(measured, 1000);
  Boot();
  EXPECT_NEAR(account_->ledger().attempt_energy_joules(), measured, 50 * 10 + 1);
}

// Invariant, whenever the process dies: the ledger includes every receipt on the disk or in the
// spool.
TEST_F(AgentCoreTest, TheLedgerOnTheDiskIsNeverBelowItsReceipts) {
  Welcome();
  StartTraining();
  for (int step = 1; step <= 4; ++step) {
    Pass(absl::Seconds(7));
    StepDone(step);
    Checkpoint(step);
    const double receipt =
        state_->ReadAttempts().at("j1.1").receipt().total().gross_energy_joules();
    EXPECT_GE(state_->ReadDevice().record.ledger().attempt_energy_joules(), receipt - 1e-6);
  }
  Result();
  Uploaded();
  EXPECT_GE(state_->ReadDevice().record.ledger().attempt_energy_joules(),
            Last("finished").finished().receipt().total().gross_energy_joules() - 1e-6);
}

TEST_F(AgentCoreTest, ADamagedDeviceRecordBeginsANewCounter) {
  Pass(absl::Minutes(6));
  const v1::EnergyLedger before = account_->ledger();
  EXPECT_NE(before.counter_id(), 0);
  Boot();
  EXPECT_EQ(account_->ledger().counter_id(), before.counter_id());
  ASSERT_THAT(disk_.Replace("device.pb", ""), IsOk());
  Boot();
  EXPECT_NE(account_->ledger().counter_id(), before.counter_id());
  EXPECT_NE(account_->ledger().counter_id(), 0);
  EXPECT_EQ(account_->total(), Joules(0));
  EXPECT_THAT(ports_.notes, testing::Contains(HasSubstr("new counter")));
}

TEST_F(AgentCoreTest, AFullDiskIsNotedOnceAndNothingIsLost) {
  Welcome();
  StartTraining();
  disk_.set_full(true);
  const size_t notes = ports_.notes.size();
  PassAlive(absl::Minutes(9), 0.5);
  Killed();
  Phase("load");
  Phase("train", 2);
  Pass(absl::Seconds(50));
  EXPECT_EQ(ports_.notes.size(), notes + 2);  // one note about the disk, one about the crash
  disk_.set_full(false);
  Pass(absl::Seconds(6));
  EXPECT_EQ(Facts(), (std::vector<std::string>{"accepted", "started", "started"}));
}

// A policy that arrived while the disk was sick must survive the next restart: otherwise the board
// would apply the old limits until it had a link again.
TEST_F(AgentCoreTest, ALimitThatTheDiskRefusedIsWrittenOnceItTakesWrites) {
  Welcome();
  Desire({});
  disk_.set_full(true);
  Desire({}, 0.3);
  Pass(absl::Seconds(20));
  const auto kept = [this] {
    return state_->ReadDesired().record.policies(0).reserve_state_of_charge_ratio();
  };
  EXPECT_EQ(kept(), 0);
  disk_.set_full(false);
  Pass(absl::Seconds(6));
  EXPECT_EQ(kept(), 0.3);
}

// The simulation found the fault: the attempt's record was deleted while its last report was only
// in memory.
TEST_F(AgentCoreTest, AFullDiskAndAKillLoseNoReceipt) {
  Welcome();
  StartTraining();
  Pass(kSavePeriod);
  disk_.set_full(true);
  Desire({});
  Killed();
  Pass(absl::Seconds(10));
  disk_.set_full(false);
  Boot();
  Welcome();
  Pass(absl::Seconds(1));
  Desire({});
  core_->OnFetched({.status = absl::CancelledError("cancelled")}, Now());
  Pass(absl::Seconds(5));
  EXPECT_GE(Last("stopped").stopped().receipt().total().gross_energy_joules(), 150);
  Boot();
  Welcome();
  Desire({});
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
}

// The simulation found the fault: the record of a paused attempt that the disk refused was not
// written again, so that a later kill took joules from the receipt that the ledger had.
TEST_F(AgentCoreTest, TheRecordOfAPausedAttemptIsWrittenWhenTheDiskHasRoomAgain) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  Desire({Job("j1.1")}, 0.3);
  core_->OnFetched({}, Now());
  Phase("train");
  Pass(absl::Seconds(20));
  disk_.set_full(true);
  PassAlive(absl::Seconds(40), 0.5);
  Charge(0.301);
  core_->Step(Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(2));
  ASSERT_EQ(core_->busy(), false);
  disk_.set_full(false);
  Pass(absl::Seconds(16));
  const double receipt = state_->ReadAttempts().at("j1.1").receipt().total().gross_energy_joules();
  EXPECT_GE(receipt, 500);
  EXPECT_NEAR(receipt, state_->ReadDevice().record.ledger().attempt_energy_joules(), 1e-6);
}

// The simulation found the fault: after a kill the ledger was below a receipt that had waited for
// the disk.
TEST_F(AgentCoreTest, AReceiptThatWaitsForTheDiskIsReportedAfterItsLedger) {
  Welcome();
  StartTraining();
  disk_.set_full(true);
  PassAlive(absl::Seconds(50), 0.5);
  v1::RunnerFrame frame;
  frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_JOB);
  core_->OnFrame(frame, Now());
  Killed();
  Pass(absl::Seconds(2));
  disk_.set_full(false);
  Pass(absl::Seconds(5));
  EXPECT_GE(state_->ReadDevice().record.ledger().attempt_energy_joules(),
            Last("failed").failed().receipt().total().gross_energy_joules() - 1e-6);
}

// The simulation found the fault (seed 1190906): the disk refused the list of ends, and the record
// of the ended attempt was deleted. After a kill a desired set named the attempt again. The attempt
// restarted, and its joules were in no receipt.
TEST_F(AgentCoreTest, AnAttemptWhoseEndIsReportedAfterAFullDiskNeverBeginsAgain) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(30));
  disk_.set_full(true);
  Desire({});
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(10));
  ASSERT_THAT(ports_.notes, testing::Contains(HasSubstr("ended.pb: cannot write")));
  disk_.set_full(false);
  Pass(absl::Seconds(6));
  ASSERT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
  Desire({});
  Boot();
  Welcome();
  Desire({Job("j1.1")});
  Pass(absl::Seconds(1));
  EXPECT_EQ(core_->busy(), false);
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
}

// The simulation found the fault: the save after a full disk wrote the ledger, then the power
// failed before the attempt's record. The receipt had lost all the joules since the disk was full.
TEST_F(AgentCoreTest, ACutWithinASaveTakesNoJoulesFromTheReceiptOfTheRun) {
  Welcome();
  Desire({Job("j1.1")});
  for (int operation = 0; operation < 6; ++operation) {
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train");
    Checkpoint(operation + 1);
    disk_.set_full(true);
    PassAlive(absl::Seconds(60), 0.5);
    disk_.set_full(false);
    disk_.CutPowerAfter(operation, /*torn_bytes=*/0);
    PassAlive(kSavePeriod + absl::Seconds(1), 0.5);
    ASSERT_EQ(disk_.power_is_cut(), true) << "operation " << operation;
    disk_.RestorePower();
    Boot();
    Welcome();
    core_->Step(Now());
  }
  Desire({});
  core_->OnFetched({.status = absl::CancelledError("cancelled")}, Now());
  Pass(absl::Seconds(5));
  const double receipt = Last("stopped").stopped().receipt().total().gross_energy_joules();
  Acknowledge();  // the ledger that waits makes room for the newest
  EXPECT_GE(receipt, 4 * 600) << "the cuts after the ledger was written lose nothing";
  EXPECT_NEAR(receipt, Last("ledger").ledger().attempt_energy_joules(), 1e-6);
}

// The same cut, but the attempt ended while the disk was full. Neither its record nor its report
// was written.
TEST_F(AgentCoreTest, ACutBetweenLedgerAndReportTakesNoJoulesFromTheReceiptOfAnEndedRun) {
  Welcome();
  double receipts = 0;
  for (int operation = 0; operation < 8; ++operation) {
    const std::string id = absl::StrCat("j1.", operation);
    StartTraining(id);
    disk_.set_full(true);
    PassAlive(absl::Seconds(60), 0.5);
    v1::RunnerFrame frame;
    frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_JOB);
    core_->OnFrame(frame, Now());
    Killed();
    Pass(absl::Seconds(2));
    ASSERT_EQ(core_->busy(), false);
    disk_.set_full(false);
    disk_.CutPowerAfter(operation, /*torn_bytes=*/0);
    Pass(absl::Seconds(20));
    disk_.RestorePower();
    Boot();
    Welcome();
    core_->Step(Now());
    if (core_->busy()) {  // the report was lost, and the attempt goes on
      Desire({});
      core_->OnFetched({.status = absl::CancelledError("cancelled")}, Now());
      Pass(absl::Seconds(5));
      receipts += Last("stopped").stopped().receipt().total().gross_energy_joules();
      EXPECT_EQ(Last("stopped").stopped().receipt().failure_class(), v1::FAILURE_CLASS_UNSPECIFIED)
          << "the failure that was never told is forgotten";
    } else {
      receipts += Last("failed").failed().receipt().total().gross_energy_joules();
    }
    Desire({});
    EXPECT_NEAR(receipts, account_->ledger().attempt_energy_joules(), 1e-6)
        << "operation " << operation;
  }
}

// Otherwise the job would hang: the worker holds an ended attempt, and no report of its end
// follows.
TEST_F(AgentCoreTest, ARecordSaysTheEndOnlyOnceTheReportIsOnTheDisk) {
  Welcome();
  StartTraining();
  disk_.set_full(true);
  Killed();
  Phase("load");
  Phase("train");  // its report waits for the disk, which is tried again in five seconds
  disk_.set_full(false);
  v1::RunnerFrame frame;
  frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_JOB);
  core_->OnFrame(frame, Now());
  Killed();
  Pass(absl::Seconds(1));
  ASSERT_EQ(core_->busy(), false);
  Boot();
  Welcome();
  core_->Step(Now());
  EXPECT_EQ(core_->busy(), false) << "the end is on the disk: the attempt does not run again";
  EXPECT_EQ(ports_.fetches, 0);
  EXPECT_EQ(Facts().back(), "failed");
  Pass(absl::Seconds(20));
  EXPECT_EQ(state_->ReadAttempts().at("j1.1").state(), v1::ATTEMPT_STATE_FAILED);
}

// The report of a stop is in the spool, but the process died before the attempt's record was
// written.
TEST_F(AgentCoreTest, ASpooledEndMakesOfTheRecordWhatItSays) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(20));
  const v1::HeldAttemptRecord running = state_->ReadAttempts().at("j1.1");
  Desire({});
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(2));
  const v1::Receipt told = Last("stopped").stopped().receipt();
  ASSERT_GT(told.total().gross_energy_joules(), 100);
  core_.reset();
  ASSERT_THAT(state_->WriteAttempt(running), IsOk());
  Boot();
  core_->OnConnected(Now());
  EXPECT_EQ(core_->busy(), false);
  ASSERT_EQ(LastHello().attempts_size(), 1);
  EXPECT_EQ(LastHello().attempts(0).state(), v1::ATTEMPT_STATE_SUPERSEDED);
  v1::HeldAttemptRecord record = running;
  TakeEnd(Last("stopped"), record);
  EXPECT_EQ(record.receipt().total().gross_energy_joules(), told.total().gross_energy_joules());
}

TEST_F(AgentCoreTest, AKilledAgentResumesTheAttemptBeforeTheCoordinatorIsReached) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(20));
  StepDone(1);
  Checkpoint(1);
  Pass(absl::Seconds(4));
  Boot();
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 1);
  core_->OnFetched({}, Now());
  ASSERT_EQ(ports_.tasks.size(), 1U);
  Phase("load");
  Phase("train", 1);
  for (int step = 2; step <= 4; ++step) {
    Pass(absl::Seconds(5));
    StepDone(step);
  }
  Result();
  Uploaded();
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_EQ(receipt.restarts(), 1);
  // 20 s before the record and 15 s after the restart were measured. The 4 s between them count as
  // missing.
  EXPECT_NEAR(receipt.run().gross_energy_joules(), 350, 4);
  EXPECT_NEAR(receipt.run().seconds(), 39, 0.5);
  EXPECT_NEAR(receipt.run().coverage_ratio(), 35.0 / 39, 0.01);
  EXPECT_NEAR(receipt.run().missing_energy_joules(), 40, 2);
  ASSERT_EQ(receipt.curve_size(), 4) << "the killed process's part is in the record";
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(receipt.curve(i).step(), i + 1);
    EXPECT_NEAR(receipt.curve(i).power_watts(), 10, 0.5);
  }
}

TEST_F(AgentCoreTest, AResultWhoseRecordWasNotWrittenIsNotRunAgain) {
  Welcome();
  StartTraining();
  StepDone(4);
  const v1::HeldAttemptRecord before = state_->ReadAttempts().at("j1.1");
  Result();
  Uploaded();
  ASSERT_THAT(state_->WriteAttempt(before),
              IsOk());  // the state after a kill between the report and the record
  Boot();
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 0);
}

// The checkpoint belongs to an attempt that ended on this device. A full disk removes it before an
// attempt fails.
TEST_F(AgentCoreTest, UnneededCheckpointsAreDeletedForAnArtifactThatIsNeeded) {
  ASSERT_THAT(disk_.Replace(state_->WorkDirectory("j0.1") + "/checkpoint", "old"), IsOk());
  Welcome();
  Desire({Job("j1.1")});
  const absl::Status full = absl::ResourceExhaustedError("disk full");
  core_->OnFetched({.status = full}, Now());
  EXPECT_EQ(ports_.fetches, 2);
  EXPECT_EQ(disk_.files().count("attempts/j0.1/work/checkpoint"), 0U);
  core_->OnFetched({.status = full}, Now());
  Pass(absl::Seconds(4));
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DEVICE);
}

TEST_F(AgentCoreTest, RoomIsMadeForTheFirstCheckpointAndForTheNextOne) {
  Welcome();
  Desire({Job("j1.1")});
  FetchResult fetched;
  fetched.inputs = {{.field = "model", .directory = "m", .file = {}, .size_bytes = 100}};
  core_->OnFetched(fetched, Now());
  EXPECT_EQ(ports_.room_bytes, 300);
  Phase("train");
  v1::RunnerFrame frame;
  frame.mutable_checkpoint()->set_step(1);
  frame.mutable_checkpoint()->set_size_bytes(321);
  core_->OnFrame(frame, Now());
  EXPECT_EQ(ports_.room_bytes, 321);
  ASSERT_THAT(disk_.Replace(state_->WorkDirectory("j0.1") + "/checkpoint", "old"), IsOk());
  core_->OnShortOfRoom(1);
  EXPECT_EQ(disk_.files().count("attempts/j0.1/work/checkpoint"), 0U);
  EXPECT_THAT(ports_.notes.back(), HasSubstr("removed 3 B"));
}

TEST_F(AgentCoreTest, ShutdownCheckpointsAndTheNextProcessGoesOn) {
  Welcome();
  StartTraining();
  core_->Shutdown(Now());
  EXPECT_EQ(ports_.stops, 1);
  EXPECT_FALSE(core_->done());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_TRUE(core_->done());
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started"));
  Boot();
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 1);
}

// A job without checkpoints restarts after each upgrade of the worker, but neither the job nor the
// power is at fault.
TEST_F(AgentCoreTest, AWorkerThatIsStoppedInOrderDoesNotInterruptItsWork) {
  Welcome();
  v1::Assignment job = Job("j1.1");
  job.mutable_spec()->mutable_generate()->add_prompts("how?");
  Desire({job});
  const auto run = [this] {
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("generate");
  };
  const auto restart = [this] {
    Boot();
    Welcome();
    core_->Step(Now());
  };
  run();
  for (int upgrade = 1; upgrade <= 10; ++upgrade) {
    core_->Shutdown(Now());
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    ASSERT_TRUE(core_->done());
    restart();
    ASSERT_EQ(ports_.fetches, 1) << "upgrade " << upgrade;
    run();
  }
  EXPECT_EQ(Facts().back(), "started");
  // Power cuts still count.
  for (int cut = 1; cut <= 7; ++cut) {
    ASSERT_EQ(Facts().back(), "started") << "cut " << cut;
    restart();
    run();
  }
  EXPECT_THAT(Last("failed").failed().message(),
              HasSubstr("interrupted more than 6 times in a row"));
}

}  // namespace
}  // namespace wattle::agent
