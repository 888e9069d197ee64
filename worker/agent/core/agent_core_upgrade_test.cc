// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Upgrades in virtual time: the old worker until the switch, and the new one until its end is
// reported. A process that ends is started again as wattle-launch would do it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"
#include "worker/agent/storage/upgrade_file.h"
#include "worker/upgrade/trial.h"

namespace wattle::agent {
namespace {

constexpr char kOld[] = "1.4.0";
constexpr char kNew[] = "1.5.0";

class UpgradeTest : public AgentCoreTest {
 protected:
  UpgradeTest() {
    takes_releases_ = true;
    release_ = kOld;
    Boot();
  }

  v1::UpgradeOrder Order(const std::string& version = kNew) {
    v1::UpgradeOrder order;
    order.set_upgrade_id("u1");
    order.set_version(version);
    order.set_artifact_id("abc");
    return order;
  }
  void DesireUpgrade(const v1::UpgradeOrder& order,
                     const std::vector<v1::Assignment>& assignments = {}) {
    v1::CoordinatorMessage message;
    *message.mutable_desired()->mutable_upgrade() = order;
    for (const v1::Assignment& assignment : assignments) {
      *message.mutable_desired()->add_assignments() = assignment;
    }
    core_->OnMessage(message, Now());
  }
  // The coordinator orders no upgrade (any more).
  void DesireNone() { Desire({}); }
  // The process has ended; the launcher starts the release that record and link name.
  void Restart() {
    release_ = ports_.release;
    v1::UpgradeRecord record = ReadUpgradeRecord(disk_);
    const upgrade::Launch plan = upgrade::PlanLaunch(record, boot_id_, wall_);
    if (plan.record.has_value()) {
      ASSERT_THAT(WriteUpgradeRecord(*plan.record, disk_), IsOk());
    }
    release_ = plan.release.value_or(release_);
    version_ = release_;
    Boot();
  }
  void SwitchToNew() {
    Welcome();
    DesireUpgrade(Order());
    core_->OnReleaseFetched({}, Now());
    ASSERT_TRUE(core_->done());
    Restart();
    ASSERT_EQ(version_, kNew);
  }
  [[nodiscard]] std::string Phase() const {
    return core_->MakeHeartbeat(const_cast<UpgradeTest*>(this)->Now()).upgrade().phase();
  }
  [[nodiscard]] const v1::UpgradeEnded& Ended() const { return Last("upgrade").upgrade_ended(); }
  [[nodiscard]] int64_t EndsTold() const {
    const std::vector<std::string> facts = Facts();
    return std::count(facts.begin(), facts.end(), "upgrade");
  }
};

TEST_F(UpgradeTest, AnIdleBoardFetchesSwitchesTestsAndTells) {
  Welcome();
  DesireUpgrade(Order());
  EXPECT_THAT(ports_.release_fetches, testing::ElementsAre("abc"));
  core_->OnReleaseProgress(3, 10);
  EXPECT_EQ(core_->MakeHeartbeat(Now()).upgrade().fetched_bytes(), 3);
  EXPECT_EQ(Phase(), "fetch");
  EXPECT_THAT(core_->NeededArtifacts(), testing::Contains("abc"));
  core_->OnReleaseFetched({}, Now());
  EXPECT_EQ(ports_.release, kNew);
  EXPECT_TRUE(core_->done());
  Restart();
  EXPECT_EQ(version_, kNew);
  EXPECT_EQ(ports_.self_tests, 1);
  EXPECT_EQ(Phase(), "test");
  EXPECT_EQ(EndsTold(), 0);
  core_->OnSelfTested(absl::OkStatus(), Now());
  EXPECT_TRUE(Ended().active());
  EXPECT_EQ(Ended().upgrade_id(), "u1");
  EXPECT_EQ(Phase(), "");
  EXPECT_THAT(ports_.kept_releases, testing::ElementsAre(kOld, kNew));
  EXPECT_FALSE(core_->shutting_down());
}

// The most important rule: a board without a link for days still passes its test.
TEST_F(UpgradeTest, TheTestNeedsNoLink) {
  SwitchToNew();
  core_->OnSelfTested(absl::OkStatus(), Now());
  Pass(absl::Minutes(1));
  EXPECT_TRUE(ReadUpgradeRecord(disk_).passed());
  EXPECT_TRUE(Ended().active());
  Restart();
  Pass(upgrade::kTrialTime);
  EXPECT_EQ(release_, kNew);
  EXPECT_FALSE(core_->shutting_down());
}

TEST_F(UpgradeTest, ARunStopsAtACheckpointAndGoesOnAfterTheTest) {
  Welcome();
  StartTraining();
  StepDone(1);
  DesireUpgrade(Order(), {Job("j1.1")});
  core_->OnReleaseFetched({}, Now());
  EXPECT_EQ(ports_.stops, 1);
  EXPECT_EQ(ports_.release, kOld) << "the runner still writes its checkpoint";
  EXPECT_EQ(Phase(), "switch");
  Checkpoint(1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(5));
  EXPECT_TRUE(core_->done());
  EXPECT_EQ(ports_.release, kNew);
  Restart();
  Welcome();
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.tasks.size(), 0U) << "no work beside the test";
  core_->OnSelfTested(absl::OkStatus(), Now());
  core_->OnFetched({}, Now());
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.tasks.size(), 1U);
}

TEST_F(UpgradeTest, AFailedSelfTestGoesBackAndIsNotBegunAgain) {
  SwitchToNew();
  core_->OnSelfTested(absl::FailedPreconditionError("a product is wrong"), Now());
  EXPECT_EQ(ports_.release, kOld);
  EXPECT_TRUE(core_->done());
  Restart();
  EXPECT_EQ(version_, kOld);
  EXPECT_FALSE(Ended().active());
  EXPECT_FALSE(Ended().refused());
  EXPECT_THAT(Ended().reason(), testing::HasSubstr("a product is wrong"));
  Welcome();
  DesireUpgrade(Order());
  Pass(absl::Minutes(1));
  EXPECT_TRUE(ports_.release_fetches.empty());
  // Another order begins.
  v1::UpgradeOrder again = Order();
  again.set_upgrade_id("u2");
  DesireUpgrade(again);
  EXPECT_EQ(ports_.release_fetches.size(), 1U);
}

// The process that passed its test also makes the next switch, and must not pass that test too.
TEST_F(UpgradeTest, ASecondUpgradeIsTestedByItsOwnProcess) {
  SwitchToNew();
  core_->OnSelfTested(absl::OkStatus(), Now());
  Welcome();
  DesireNone();
  v1::UpgradeOrder order = Order("1.6.0");
  order.set_upgrade_id("u2");
  DesireUpgrade(order);
  core_->OnReleaseFetched({}, Now());
  ASSERT_TRUE(core_->done());
  EXPECT_TRUE(upgrade::OnTrial(ReadUpgradeRecord(disk_)));
  Restart();
  core_->OnSelfTested(absl::InternalError("wrong numbers"), Now());
  EXPECT_EQ(ports_.release, kNew);
}

TEST_F(UpgradeTest, ATestThatDoesNotEndGoesBackAfterTenMinutes) {
  SwitchToNew();
  Pass(upgrade::kTrialTime - absl::Seconds(1));
  EXPECT_FALSE(core_->shutting_down());
  Pass(absl::Seconds(2));
  EXPECT_EQ(ports_.release, kOld);
  Restart();
  EXPECT_THAT(Ended().reason(), testing::HasSubstr("within 9m30s"));
}

TEST_F(UpgradeTest, ADiskThatTakesNoWriteDoesNotPass) {
  SwitchToNew();
  disk_.set_fault(MemoryDisk::Fault::kReadOnly);
  core_->OnSelfTested(absl::OkStatus(), Now());
  Pass(absl::Minutes(1));
  EXPECT_FALSE(ReadUpgradeRecord(disk_).passed());
  disk_.set_fault(MemoryDisk::Fault::kNone);
  Pass(absl::Seconds(10));
  EXPECT_TRUE(ReadUpgradeRecord(disk_).passed());
}

TEST_F(UpgradeTest, StateThatCannotBeReadGoesBack) {
  Welcome();
  DesireUpgrade(Order());
  core_->OnReleaseFetched({}, Now());
  disk_.FlipBit("desired.pb", 200);
  disk_.FlipBit("desired.pb.copy", 200);
  Restart();
  EXPECT_TRUE(core_->shutting_down() || ports_.release == kOld);
  EXPECT_EQ(ports_.release, kOld);
}

TEST_F(UpgradeTest, AReleaseOfAnotherVersionGoesBack) {
  Welcome();
  DesireUpgrade(Order());
  core_->OnReleaseFetched({}, Now());
  release_ = ports_.release;
  version_ = "1.4.9";
  Boot();
  EXPECT_EQ(ports_.release, kOld);
  EXPECT_THAT(ReadUpgradeRecord(disk_).failure(), testing::HasSubstr("of version 1.4.9"));
}

TEST_F(UpgradeTest, EachRefusalSaysWhyAndTouchesNothing) {
  struct Case {
    std::string version;
    bool takes_releases;
    std::string reason;
  };
  for (const Case& refused :
       {Case{"1.3.9", true, "--allow-downgrade"}, Case{"../1.5.0", true, "such as 1.4.0"},
        Case{"current", true, "such as 1.4.0"}, Case{kNew, false, "no folder for releases"}}) {
    takes_releases_ = refused.takes_releases;
    Boot();
    Welcome();
    v1::UpgradeOrder order = Order(refused.version);
    order.set_upgrade_id("of " + refused.reason + refused.version);
    DesireUpgrade(order);
    EXPECT_TRUE(Ended().refused()) << refused.version;
    EXPECT_THAT(Ended().reason(), testing::HasSubstr(refused.reason));
    EXPECT_TRUE(ports_.release_fetches.empty());
    EXPECT_EQ(ports_.release, kOld);
  }
}

TEST_F(UpgradeTest, AnAllowedDowngradeBegins) {
  Welcome();
  v1::UpgradeOrder order = Order("1.3.0");
  order.set_allow_downgrade(true);
  DesireUpgrade(order);
  EXPECT_EQ(ports_.release_fetches.size(), 1U);
}

TEST_F(UpgradeTest, TheVersionThatRunsIsActiveAtOnce) {
  Welcome();
  DesireUpgrade(Order(kOld));
  EXPECT_TRUE(Ended().active());
  EXPECT_TRUE(ports_.release_fetches.empty());
}

TEST_F(UpgradeTest, AWrongDigestIsTriedAgainAndThenRefused) {
  Welcome();
  DesireUpgrade(Order());
  for (int fetch = 1; fetch <= 5; ++fetch) {
    ASSERT_EQ(ports_.release_fetches.size(), static_cast<size_t>(fetch));
    core_->OnReleaseFetched({.status = absl::DataLossError("abc: wrong checksum")}, Now());
    Pass(absl::Minutes(11));
  }
  EXPECT_TRUE(Ended().refused());
  EXPECT_THAT(Ended().reason(), testing::HasSubstr("wrong checksum"));
}

TEST_F(UpgradeTest, ALinkThatBreaksIsWaitedFor) {
  Welcome();
  DesireUpgrade(Order());
  for (int fetch = 1; fetch <= 9; ++fetch) {
    ASSERT_EQ(ports_.release_fetches.size(), static_cast<size_t>(fetch));
    core_->OnReleaseFetched({.status = absl::UnavailableError("the link is down")}, Now());
    Pass(absl::Minutes(11));
  }
  EXPECT_EQ(EndsTold(), 0);
}

TEST_F(UpgradeTest, AnOrderThatIsTakenBackIsGivenUp) {
  Welcome();
  DesireUpgrade(Order());
  DesireNone();
  EXPECT_EQ(ports_.cancels, 1);
  core_->OnReleaseFetched({}, Now());
  Pass(absl::Minutes(1));
  EXPECT_FALSE(core_->shutting_down());
  EXPECT_EQ(ports_.release, kOld);
}

TEST_F(UpgradeTest, TheEndIsToldAgainByEachProcessUntilTheOrderIsGone) {
  SwitchToNew();
  core_->OnSelfTested(absl::OkStatus(), Now());
  Welcome();
  Acknowledge();
  EXPECT_EQ(EndsTold(), 0);
  Restart();  // the coordinator may have lost the report with its newest journal
  EXPECT_GE(EndsTold(), 1);
  Welcome();
  DesireNone();
  Acknowledge();
  EXPECT_FALSE(ReadUpgradeRecord(disk_).has_order());
}

// The power is cut before each write of the whole upgrade: the board ends at the new release,
// intact, and reports it.
TEST_F(UpgradeTest, ACutBeforeEachWriteEndsAtTheNewRelease) {
  for (int64_t cut = 0; cut < 40; ++cut) {
    SCOPED_TRACE(absl::StrCat("cut after ", cut, " operations"));
    disk_ = MemoryDisk(/*seed=*/1);
    release_ = version_ = kOld;
    Boot();
    disk_.CutPowerAfter(cut);
    for (int process = 0; process < 6; ++process) {
      Welcome();
      DesireUpgrade(Order());
      if (!ports_.release_fetches.empty()) {
        core_->OnReleaseFetched({}, Now());
      }
      core_->OnSelfTested(absl::OkStatus(), Now());
      Pass(absl::Seconds(6));
      disk_.RestorePower();
      ASSERT_THAT(ports_.release, testing::AnyOf(kOld, kNew));
      Restart();
    }
    EXPECT_EQ(version_, kNew);
    EXPECT_TRUE(ReadUpgradeRecord(disk_).passed());
    EXPECT_GE(EndsTold(), 1);
    EXPECT_TRUE(Ended().active());
  }
}

}  // namespace
}  // namespace wattle::agent
