// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A disk that takes no writes, or takes them slowly: what is told, what stops, how it heals.
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "worker/agent/core/agent_core_fixture.h"
#include "worker/agent/core/storage_health.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class StorageTest : public AgentCoreTest {
 protected:
  StorageTest() {
    probe_period_ = absl::Minutes(1);
    Boot();
  }
  // Time passes; each small write takes `took_` and ends with `outcome_`.
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

TEST_F(StorageTest, AnIdleDiskIsSlowAfterTwoSlowWrites) {
  Welcome();
  PassProbed(absl::Seconds(1));
  took_ = absl::Seconds(5);
  PassProbed(absl::Seconds(70));
  EXPECT_EQ(Told(), "") << "one slow write says little";
  PassProbed(absl::Seconds(20));
  EXPECT_THAT(Told(), HasSubstr("disk slow: a write of 4 KiB takes 5 s"));
  Heal();
  PassProbed(absl::Seconds(25));
  EXPECT_EQ(Told(), "");
}

// The sync of a checkpoint makes each other write wait for it.
TEST_F(StorageTest, SlowWritesWhileWorkRunsStopItOnlyAfterMinutes) {
  Welcome();
  StartTraining();
  took_ = absl::Seconds(5);
  for (int i = 0; i < 9; ++i) {
    PassProbed(absl::Seconds(20));
    Alive(i);
  }
  EXPECT_EQ(ports_.stops, 0);
  for (int i = 9; i < 15; ++i) {
    PassProbed(absl::Seconds(20));
    Alive(i);
  }
  EXPECT_EQ(ports_.stops, 1);
}

TEST(StorageHealthTest, AWriteThatDoesNotEndIsTold) {
  StorageHealth health(absl::Minutes(1));
  const Monotonic began(absl::Seconds(100));
  ASSERT_TRUE(health.TakeDue(began));
  EXPECT_FALSE(health.TakeDue(began + absl::Hours(1)));
  health.Look(began + absl::Seconds(59));
  EXPECT_EQ(health.problem(), "");
  health.Look(began + absl::Seconds(61));
  EXPECT_THAT(health.problem(), StartsWith("disk slow"));
  EXPECT_EQ(health.NextStep(began), began + absl::Seconds(60));
  EXPECT_EQ(health.NextStep(began + absl::Seconds(61)), Monotonic(absl::InfiniteDuration()))
      << "only the end of the write is waited for";
  health.OnWritten(absl::OkStatus(), false, began + absl::Hours(2));
  EXPECT_THAT(health.problem(), StartsWith("disk slow"));
  ASSERT_TRUE(health.TakeDue(began + absl::Hours(3)));
  health.OnWritten(absl::OkStatus(), false, began + absl::Hours(3));
  EXPECT_EQ(health.problem(), "");
}

TEST_F(StorageTest, AnErrorOfTheDiskInAFetchIsTheDevicesFault) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({.status = absl::InternalError("data: cannot read: Input/output error")}, Now());
  Pass(absl::Seconds(4));
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DEVICE);
}

TEST_F(StorageTest, ARecordThatTheDiskRefusesToReadStays) {
  Welcome();
  StartTraining();
  PassProbed(absl::Seconds(40));
  for (const char* name : {"attempts/j1.1/state.pb", "attempts/j1.1/state.pb.previous"}) {
    disk_.SetUnreadable(name, true);
  }
  Boot();
  EXPECT_EQ(disk_.files().count("attempts/j1.1/state.pb"), 1U);
  for (const char* name : {"attempts/j1.1/state.pb", "attempts/j1.1/state.pb.previous"}) {
    disk_.SetUnreadable(name, false);
  }
  Boot();
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.fetches, 1);
}

}  // namespace
}  // namespace wattle::agent
