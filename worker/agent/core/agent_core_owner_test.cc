// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The hold of a device's owner: the work that it stops, the events that it outlives, and how it is
// shown to others.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class OwnerTest : public AgentCoreTest {
 protected:
  // The runner wrote its checkpoint and left.
  void Stopped(int64_t step) {
    Checkpoint(step);
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    Pass(absl::Seconds(4));
  }
  void Reboot() {
    boot_id_ += "'";
    wall_ = Monotonic(absl::Seconds(1000));  // the origin of the fixture's clock
    Boot();
  }
};

TEST_F(OwnerTest, AHoldPausesTheRunAndItsEndLetsItGoOn) {
  Welcome();
  StartTraining();
  StepDone(1);
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  EXPECT_EQ(ports_.stops, 1);
  Stopped(1);
  EXPECT_EQ(Facts().back(), "paused");
  EXPECT_THAT(Last("paused").paused().reason(), HasSubstr("held by its owner"));
  EXPECT_EQ(ports_.tasks.size(), 1);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).owner_hold_seconds(), 3596, 1);
  Pass(absl::Minutes(59));
  EXPECT_FALSE(core_->busy());
  Pass(absl::Minutes(1));
  EXPECT_TRUE(core_->busy());
  EXPECT_EQ(core_->MakeHeartbeat(Now()).owner_hold_seconds(), 0);
  core_->OnFetched({}, Now());
  Phase("train", 1);
  StepDone(4);
  EndRun();
  EXPECT_NEAR(Last("finished").finished().receipt().paused_seconds(), 3600, 10);
  EXPECT_LT(Last("finished").finished().receipt().total().seconds(), 100);
}

TEST_F(OwnerTest, AReleaseLetsTheWorkGoOnAtOnce) {
  Welcome();
  StartTraining();
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  Stopped(1);
  ASSERT_FALSE(core_->busy());
  EXPECT_THAT(core_->EndHold(Now()), IsOk());
  EXPECT_TRUE(core_->busy());
  EXPECT_THAT(core_->EndHold(Now()), IsOk()) << "a second release changes nothing";
}

TEST_F(OwnerTest, NewWorkWaitsForTheEndOfTheHold) {
  Welcome();
  ASSERT_THAT(core_->Hold(absl::Minutes(1), Now()), IsOk());
  Desire({Job("j1.1")});
  EXPECT_EQ(ports_.fetches, 0);
  Pass(absl::Minutes(1));
  EXPECT_EQ(ports_.fetches, 1);
}

TEST_F(OwnerTest, AHoldOutlivesRestartsAndARebootWithoutAClock) {
  Welcome();
  StartTraining();
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  Stopped(1);
  Boot();
  Pass(absl::Minutes(10));
  EXPECT_FALSE(core_->busy());
  Reboot();
  Pass(absl::Minutes(49));
  EXPECT_FALSE(core_->busy());
  // The time since the last save, of 5 minutes at most, counts twice.
  Pass(absl::Minutes(7));
  EXPECT_TRUE(core_->busy());
}

TEST_F(OwnerTest, AReleaseOutlivesARestart) {
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  ASSERT_THAT(core_->EndHold(Now()), IsOk());
  Boot();
  EXPECT_FALSE(core_->owner_hold().active());
}

TEST_F(OwnerTest, TheLeaseStandsStillWhileTheOwnerHoldsTheBoard) {
  Welcome();
  StartTraining();  // a lease of 60 s
  core_->OnDisconnected(Now());
  Pass(absl::Seconds(40));
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  Stopped(1);
  Boot();
  Pass(absl::Hours(1));
  EXPECT_TRUE(core_->busy()) << "20 s of the lease are left";
  Pass(absl::Seconds(10));
  EXPECT_TRUE(core_->busy());
  core_->OnFetched({}, Now());
  Phase("load");
  Phase("train", 1);
  Pass(absl::Seconds(11));
  Stopped(2);
  EXPECT_FALSE(core_->busy());
  EXPECT_EQ(Last("paused").paused().reason(), "lease ended without contact to the coordinator");
}

TEST_F(OwnerTest, AProgramOfTheOwnerHoldsTheBoardWhileItRuns) {
  Welcome();
  StartTraining();
  StepDone(1);
  core_->OnOwnerProgram("", Now());
  EXPECT_EQ(ports_.stops, 0);
  core_->OnOwnerProgram("robot", Now());
  core_->OnOwnerProgram("robot", Now());
  EXPECT_EQ(ports_.stops, 1);
  Stopped(1);
  EXPECT_EQ(Last("paused").paused().reason(), "held by its owner: robot runs");
  EXPECT_EQ(core_->MakeHeartbeat(Now()).owner_hold_seconds(), 600);
  Pass(absl::Hours(2));
  EXPECT_FALSE(core_->busy());
  EXPECT_EQ(core_->MakeHeartbeat(Now()).owner_hold_seconds(), 600) << "it may still run for long";
  EXPECT_THAT(core_->EndHold(Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("robot runs")));
  EXPECT_FALSE(core_->busy());
  core_->OnOwnerProgram("", Now());
  EXPECT_TRUE(core_->busy());
  EXPECT_EQ(core_->MakeHeartbeat(Now()).owner_hold_seconds(), 0);
}

TEST_F(OwnerTest, AHoldForATimeAndAProgramEndEachForItself) {
  Welcome();
  StartTraining();
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  Stopped(1);
  core_->OnOwnerProgram("robot", Now());
  Boot();  // finds the program itself, and keeps the time
  core_->OnOwnerProgram("robot", Now());
  Pass(absl::Minutes(61));
  EXPECT_FALSE(core_->busy()) << "the program runs";
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  core_->OnOwnerProgram("", Now());
  EXPECT_FALSE(core_->busy()) << "the time goes on";
  Pass(absl::Minutes(61));
  EXPECT_TRUE(core_->busy());
}

TEST_F(OwnerTest, TheLeaseStandsStillWhileAProgramHoldsTheBoard) {
  Welcome();
  StartTraining();  // a lease of 60 s
  core_->OnDisconnected(Now());
  Pass(absl::Seconds(40));
  core_->OnOwnerProgram("robot", Now());
  Stopped(1);
  Pass(absl::Hours(1));
  core_->OnOwnerProgram("", Now());
  EXPECT_TRUE(core_->busy()) << "20 s of the lease are left";
}

TEST_F(OwnerTest, HoldsAreNoInterruptions) {
  Welcome();
  StartTraining();
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT(core_->Hold(absl::Minutes(1), Now()), IsOk());
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    Pass(absl::Minutes(2));
    ASSERT_TRUE(core_->busy()) << i;
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train");
  }
}

TEST_F(OwnerTest, AResultIsUploadedDuringAHold) {
  Welcome();
  StartTraining();
  StepDone(4);
  Phase("save");
  Result();
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  Pass(absl::Seconds(1));
  Uploaded();
  Pass(absl::Seconds(4));
  EXPECT_EQ(Facts().back(), "finished");
}

TEST_F(OwnerTest, AHoldThatTheDiskRefusesHoldsButSaysSo) {
  disk_.set_full(true);
  EXPECT_THAT(core_->Hold(absl::Hours(1), Now()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("a restart")));
  EXPECT_TRUE(core_->owner_hold().active());
}

TEST_F(OwnerTest, WrongTimesChangeNothing) {
  EXPECT_THAT(core_->Hold(absl::ZeroDuration(), Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_THAT(core_->Hold(absl::Hours(24 * 31), Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_FALSE(core_->owner_hold().active());
}

TEST_F(OwnerTest, StatusTellsThePersonAtTheBoard) {
  EXPECT_THAT(core_->OwnerStatus(Now()),
              testing::AllOf(HasSubstr("coordinator: not connected"), HasSubstr("work: none\n")));
  Welcome();
  StartTraining();
  StepDone(1);
  EXPECT_THAT(core_->OwnerStatus(Now()),
              testing::AllOf(HasSubstr("coordinator: connected"),
                             HasSubstr("work: j1.1 runs, train, step 1 of 4\n")));
  ASSERT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  EXPECT_THAT(core_->OwnerStatus(Now()), HasSubstr("work: j1.1 stops"));
  Stopped(1);
  EXPECT_THAT(core_->OwnerStatus(Now()),
              testing::AllOf(HasSubstr("for another 59 min"), HasSubstr("work: j1.1 waits\n")));
}

TEST_F(OwnerTest, AModeSetByOthersIsFollowedAndLeftAlone) {
  sets_power_modes_ = true;
  Boot();
  Welcome();
  v1::Assignment job = Job("j1.1");
  job.set_power_mode("15W");
  Desire({job});
  EXPECT_THAT(ports_.modes, ElementsAre("15W"));
  core_->OnPowerModeSetByOthers("MAXN", Now());
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "kept"));
  EXPECT_EQ(ports_.reconnects, 1) << "the planner is told by a new hello";
  core_->OnFetched({.status = absl::CancelledError("x")}, Now());
  Desire({});
  core_->OnFetched({.status = absl::CancelledError("x")}, Now());
  Pass(absl::Minutes(2));
  EXPECT_EQ(Last("stopped").stopped().receipt().power_mode(), "MAXN");
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "kept")) << "nothing is restored";
  core_->OnConnected(Now());
  EXPECT_EQ(LastHello().device().power_mode(), "MAXN");
}

}  // namespace
}  // namespace wattle::agent
