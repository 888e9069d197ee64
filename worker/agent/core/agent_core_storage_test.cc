// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A disk that refuses writes or is slow: the report, the stop of work, and the recovery.
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/agent/core/storage_health.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class StorageTest : public AgentCoreTest {
 protected:
  StorageTest() {
    probe_period_ = absl::Minutes(1);
    Boot();
  }
  // Passes time; each small write takes `took_` and ends with `outcome_`.
  void PassProbed(absl::Duration time) {
    for (const Monotonic end = wall_ + time; wall_ < end;) {
      Pass(absl::Milliseconds(100));
      if (ports_.probes > answered_) {
        ++answered_;
        Pass(took_);
        core_->OnStorageProbed(outcome_, Now());
      }
    }
  }
  // Passes time while a runner is alive.
  void PassProbedAlive(absl::Duration time) {
    for (const Monotonic end = wall_ + time; wall_ < end;) {
      Alive(absl::ToDoubleSeconds(wall_.since_boot()));
      PassProbed(absl::Seconds(1));
    }
  }
  std::string Told() { return core_->MakeHeartbeat(Now()).storage_problem(); }
  void Refuse() {
    outcome_ = absl::PermissionDeniedError("/state/health: cannot open: Read-only file system");
    disk_.set_full(true);  // records are refused too
  }
  void Heal() {
    outcome_ = absl::OkStatus();
    took_ = absl::Milliseconds(100);
    disk_.set_full(false);
  }

  int answered_ = 0;
  absl::Status outcome_;
  absl::Duration took_ = absl::Milliseconds(100);
};

// An idle board writes no record for minutes.
TEST_F(StorageTest, AnIdleBoardTellsWithin90SecondsAndTakesWorkOnlyOnceItIsHealed) {
  Welcome();
  PassProbed(absl::Seconds(1));
  EXPECT_EQ(Told(), "");
  Refuse();
  PassProbed(absl::Seconds(89));
  EXPECT_THAT(Told(), StartsWith("disk read-only: /state/health: cannot open"));
  Desire({Job("j1.1")});
  PassProbed(absl::Seconds(30));
  EXPECT_EQ(ports_.fetches, 0);
  Heal();
  PassProbed(absl::Seconds(25));
  EXPECT_EQ(Told(), "");
  EXPECT_EQ(ports_.fetches, 1);
}

TEST_F(StorageTest, RunningWorkStopsWithWhatItHasAndGoesOnOnceTheDiskIsHealed) {
  Welcome();
  StartTraining();
  PassProbed(absl::Seconds(5));
  Checkpoint(3);
  Refuse();
  PassProbed(absl::Seconds(80));
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  PassProbed(absl::Minutes(2));
  EXPECT_EQ(ports_.fetches, 1);
  EXPECT_EQ(core_->busy(), false);
  Heal();
  PassProbed(absl::Seconds(40));
  EXPECT_EQ(ports_.fetches, 2);
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "paused"));
  EXPECT_THAT(Last("paused").paused().reason(), StartsWith("disk read-only: "));
  EXPECT_EQ(Last("paused").paused().checkpoint_step(), 3);
}

TEST_F(StorageTest, AnIdleDiskIsSlowAfterThreeSlowWrites) {
  Welcome();
  PassProbed(absl::Seconds(1));
  took_ = absl::Seconds(5);
  PassProbed(absl::Seconds(78));
  EXPECT_EQ(Told(), "") << "two slow writes say little";
  PassProbed(absl::Seconds(11));
  EXPECT_THAT(Told(), HasSubstr("disk slow: a write of 4 KiB takes 5 s"));
  Heal();
  PassProbed(absl::Seconds(25));
  EXPECT_EQ(Told(), "");
}

TEST_F(StorageTest, SlowWritesWhileWorkRunsAreToldWithin90SecondsAsThoseOfAnIdleBoard) {
  Welcome();
  StartTraining();
  PassProbed(absl::Seconds(1));
  took_ = absl::Seconds(5);
  PassProbedAlive(absl::Seconds(70));
  EXPECT_EQ(ports_.stops, 0);
  PassProbedAlive(absl::Seconds(19));
  EXPECT_THAT(Told(), StartsWith("disk slow"));
  EXPECT_EQ(ports_.stops, 1);
}

// The sync of a checkpoint delays every other write.
TEST_F(StorageTest, SlowWritesBesideACheckpointStopWorkOnlyAfterMinutes) {
  Welcome();
  StartTraining();
  PassProbed(absl::Seconds(1));
  Phase("checkpoint");
  took_ = absl::Seconds(20);
  PassProbedAlive(absl::Minutes(3));
  Phase("train");
  took_ = absl::Milliseconds(100);
  PassProbedAlive(absl::Minutes(1));
  EXPECT_EQ(Told(), "");
  EXPECT_EQ(ports_.stops, 0);
  Phase("checkpoint");
  took_ = absl::Seconds(20);
  PassProbedAlive(absl::Minutes(5));
  EXPECT_EQ(ports_.stops, 1);
}

// A write that was slow at the end of a checkpoint is followed by one without other writes.
TEST_F(StorageTest, AWriteThatIsSlowAfterTheCheckpointTells) {
  Welcome();
  StartTraining();
  PassProbed(absl::Seconds(1));
  Phase("checkpoint");
  took_ = absl::Seconds(10);
  PassProbedAlive(absl::Seconds(90));
  EXPECT_EQ(Told(), "");
  Phase("train");
  PassProbedAlive(absl::Seconds(30));
  EXPECT_THAT(Told(), StartsWith("disk slow"));
}

// A fetch slows writes down for as long as it lasts, so it pauses for a write without it.
TEST_F(StorageTest, AFetchMakesWayForAWriteAlone) {
  Welcome();
  PassProbed(absl::Seconds(1));
  Desire({Job("j1.1")});
  ASSERT_EQ(ports_.fetches, 1);
  took_ = absl::Seconds(5);
  PassProbed(absl::Seconds(65));
  EXPECT_EQ(ports_.cancels, 1);
  core_->OnFetched({.status = absl::CancelledError("cancelled")}, Now());
  took_ = absl::Milliseconds(100);
  PassProbed(absl::Seconds(10));
  EXPECT_EQ(ports_.fetches, 1);
  PassProbed(absl::Seconds(20));
  EXPECT_EQ(ports_.fetches, 2) << "the fetch made the write slow, and goes on";
  EXPECT_EQ(Told(), "");
  took_ = absl::Seconds(5);
  PassProbed(absl::Seconds(45));
  EXPECT_EQ(ports_.cancels, 2);
  core_->OnFetched({.status = absl::CancelledError("cancelled")}, Now());
  PassProbed(absl::Seconds(25));
  EXPECT_THAT(Told(), StartsWith("disk slow")) << "the disk is slow without the fetch too";
}

TEST(StorageHealthTest, AWriteThatDoesNotEndIsTold) {
  StorageHealth health(absl::Minutes(1));
  const Monotonic began(absl::Seconds(100));
  ASSERT_TRUE(health.TakeDue(began));
  EXPECT_FALSE(health.TakeDue(began + absl::Hours(1)));
  health.Look(false, began + absl::Seconds(24));
  EXPECT_EQ(health.problem(), "");
  EXPECT_EQ(health.NextStep(began + absl::Seconds(24)), began + absl::Seconds(25));
  health.Look(false, began + absl::Seconds(25));
  EXPECT_THAT(health.problem(), StartsWith("disk slow"));
  EXPECT_EQ(health.NextStep(began + absl::Minutes(4)), Monotonic(absl::InfiniteDuration()))
      << "only the end of the write is waited for";
  health.OnWritten(absl::OkStatus(), began + absl::Hours(2));
  EXPECT_THAT(health.problem(), StartsWith("disk slow"));
  ASSERT_TRUE(health.TakeDue(began + absl::Hours(3)));
  health.OnWritten(absl::OkStatus(), began + absl::Hours(3));
  EXPECT_EQ(health.problem(), "");
}

TEST_F(StorageTest, AnErrorOfTheDiskInAFetchIsTheDevicesFault) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({.status = absl::InternalError("data: cannot read: Input/output error")}, Now());
  Pass(absl::Seconds(4));
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DEVICE);
}

// The worker does not start without the record, because a new one would replace it.
TEST_F(StorageTest, ARecordThatTheDiskRefusesToReadStays) {
  Welcome();
  StartTraining();
  PassProbed(absl::Seconds(40));
  EndRun();
  Desire({Job("j2.1")});
  PassProbed(absl::Minutes(6));  // the records of the device are saved again
  v1::LineageRecord lineage;
  lineage.set_lineage_id("farm");
  ASSERT_THAT(state_->WriteLineage(lineage), IsOk());
  for (const char* name : {"device.pb", "lineage.pb", "ended.pb", "attempts/j2.1/state.pb"}) {
    const std::string record = name;
    ASSERT_EQ(disk_.files().count(record), 1U) << record;
    disk_.SetUnreadable(record, true);
    disk_.SetUnreadable(record + ".previous", true);
    const auto files = disk_.files();
    EXPECT_THAT(StateDirectory::Open(&disk_),
                StatusIs(absl::StatusCode::kUnavailable,
                         AllOf(HasSubstr(record), HasSubstr("begins once the file can be read"))));
    EXPECT_EQ(disk_.files(), files);
    disk_.SetUnreadable(record, false);
    EXPECT_THAT(StateDirectory::Open(&disk_), IsOk()) << "one copy is enough";
    disk_.SetUnreadable(record + ".previous", false);
  }
  Boot();
  Welcome();
  Desire({Job("j2.1")});
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.fetches, 1);
}

}  // namespace
}  // namespace wattle::agent
