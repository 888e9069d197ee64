// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core before and after it knows the time.
#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const absl::Time kTrue = absl::FromUnixSeconds(1'900'022'400);

class TimeTest : public AgentCoreTest {
 protected:
  // A welcome from a coordinator, with its time if given.
  void WelcomeAt(absl::Time told) {
    core_->OnConnected(Now());
    wall_ = wall_ + absl::Seconds(2);
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_heartbeat_seconds(1);
    message.mutable_welcome()->set_coordinator_unix_seconds(
        absl::ToDoubleSeconds(told - absl::UnixEpoch()));
    core_->OnMessage(message, Now());
  }
  void Reboot() {
    boot_id_ += "x";
    wall_ = Monotonic(absl::Seconds(20));
    kept_by_time_service_ = false;
    civil_ = kTrue - absl::Hours(10);  // late, and it looks set
    Boot();
  }
  v1::CoordinatorMessage Desired(const v1::Policy& policy) {
    v1::CoordinatorMessage message;
    v1::Assignment& job = *message.mutable_desired()->add_assignments() = Job("j1.1");
    job.set_lease_seconds(864000);
    *message.mutable_desired()->add_policies() = policy;
    return message;
  }
  static v1::Policy OfAWattHour() {
    v1::Policy policy;
    policy.set_daily_energy_budget_wh(1);
    return policy;
  }
  // Work of 10 W begins under a budget of 3600 J a day.
  void WorkUnderABudget(absl::Duration time) {
    core_->OnMessage(Desired(OfAWattHour()), Now());
    GoOn(time);
  }
  void GoOn(absl::Duration time) {
    core_->OnFetched({}, Now());
    Phase("train");
    Pass(time);
  }
  std::string GuardReason() { return core_->MakeHeartbeat(Now()).guard_reason(); }
  double Spent() { return core_->MakeHeartbeat(Now()).budget_day_energy_joules(); }
};

TEST_F(TimeTest, AWindowWaitsForTheTimeAfterARebootAndTheCoordinatorTellsIt) {
  v1::Policy policy;
  policy.set_name("day");
  policy.add_work_windows("00:00-24:00");
  WelcomeAt(kTrue);
  core_->OnMessage(Desired(policy), Now());
  EXPECT_EQ(ports_.fetches, 1);
  EXPECT_EQ(core_->MakeHeartbeat(Now()).clock_source(), v1::CLOCK_SOURCE_COORDINATOR);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).clock_error_seconds(), 1, 0.01);
  Pass(kSavePeriod + absl::Seconds(1));
  Reboot();
  Pass(absl::Seconds(5));
  EXPECT_EQ(ports_.fetches, 0);
  EXPECT_THAT(GuardReason(), HasSubstr("does not know the time, and policy day"));
  EXPECT_EQ(core_->MakeHeartbeat(Now()).clock_source(), v1::CLOCK_SOURCE_FLOOR);
  WelcomeAt(kTrue + absl::Hours(9));
  EXPECT_THAT(GuardReason(), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.fetches, 1);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).unix_seconds(),
              absl::ToDoubleSeconds(kTrue + absl::Hours(9) - absl::UnixEpoch()), 3);
}

TEST_F(TimeTest, ARestartOfTheWorkerKeepsTheTimeThatTheCoordinatorTold) {
  WelcomeAt(kTrue);
  core_->Shutdown(Now());
  wall_ = wall_ + absl::Minutes(10);
  Boot();
  EXPECT_EQ(core_->MakeHeartbeat(Now()).clock_source(), v1::CLOCK_SOURCE_COORDINATOR);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).unix_seconds(),
              absl::ToDoubleSeconds(kTrue + absl::Minutes(10) - absl::UnixEpoch()), 3);
}

TEST_F(TimeTest, WhatWorkDrewWhileNobodyKnewTheDayCountsInBothDays) {
  WelcomeAt(kTrue);
  WorkUnderABudget(absl::Seconds(100));
  EXPECT_NEAR(Spent(), 1000, 20);
  Reboot();
  EXPECT_THAT(GuardReason(), IsEmpty()) << "the rest of the day's budget";
  GoOn(absl::Seconds(50));
  // The joules that 10 W may have drawn in the time that the power cut lost.
  const double lost = 10 * absl::ToDoubleSeconds(kSavePeriod);
  EXPECT_NEAR(Spent(), 1500 + lost, 200);
  // The next day has begun, and the 500 J may belong to it.
  WelcomeAt(kTrue + absl::Hours(24));
  EXPECT_NEAR(Spent(), 500 + lost, 30);
  Pass(absl::Seconds(10));
  // The same day still: nothing is granted twice.
  WelcomeAt(kTrue + absl::Hours(24));
  EXPECT_NEAR(Spent(), 600 + lost, 50);
}

TEST_F(TimeTest, AfterARestartWithoutTheTimeAllThatWasDrawnMayBeOfTheNewDay) {
  WelcomeAt(kTrue);
  WorkUnderABudget(absl::Seconds(100));
  Reboot();
  GoOn(absl::Seconds(50));
  Reboot();
  WelcomeAt(kTrue + absl::Hours(24));
  EXPECT_NEAR(Spent(), 1500 + 10 * absl::ToDoubleSeconds(kSavePeriod), 350);
}

TEST_F(TimeTest, ANewDayBeginsWithNothingWhereNoWorkRanWithoutTheTime) {
  WelcomeAt(kTrue);
  WorkUnderABudget(absl::Seconds(100));
  Reboot();
  WelcomeAt(kTrue + absl::Hours(24));
  EXPECT_NEAR(Spent(), 0, 10);
}

// The coordinator's clock was ahead by 100 days, once. The board is off for 15 hours of each day.
TEST_F(TimeTest, ABudgetThatAClockLeftInTheFutureBeginsAnewAfter24PoweredOnHours) {
  WelcomeAt(kTrue + absl::Hours(100 * 24));
  WorkUnderABudget(absl::Seconds(100));
  v1::CoordinatorMessage no_work = Desired(OfAWattHour());
  no_work.mutable_desired()->clear_assignments();
  core_->OnMessage(no_work, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  for (int day = 1; day <= 3; ++day) {
    Reboot();
    WelcomeAt(kTrue + day * absl::Hours(24));
    core_->OnMessage(no_work, Now());
    EXPECT_NEAR(Spent(), 1000, 20) << "no budget twice, day " << day;
    Pass(absl::Hours(5));
    EXPECT_NEAR(Spent(), 1000, 20) << "no budget twice, day " << day;
    Pass(absl::Hours(4));
  }
  EXPECT_NEAR(Spent(), 0, 10) << "after 27 powered-on hours of three days";
}

TEST_F(TimeTest, NoBudgetBeginsBeforeTheFirstDayIsKnown) {
  civil_ = absl::UnixEpoch();
  v1::Policy policy;
  policy.set_name("frugal");
  policy.set_daily_energy_budget_wh(1);
  Welcome();
  core_->OnMessage(Desired(policy), Now());
  EXPECT_EQ(ports_.fetches, 0);
  EXPECT_THAT(GuardReason(), HasSubstr("does not know the time, and policy frugal"));
}

TEST_F(TimeTest, ReportsOfAnUnknownTimeAreDatedOnceItIsKnown) {
  civil_ = absl::UnixEpoch();
  Welcome();
  Desire({Job("j1.1")});
  core_->OnDisconnected(Now());
  core_->OnFetched({}, Now());
  Phase("train");
  EXPECT_LT(Last("started").at_unix_seconds(), 1e6);
  const Monotonic started = wall_;
  Pass(absl::Seconds(30));
  ports_.sent.clear();
  disk_.set_full(true);  // no report leaves with a time that may still change
  WelcomeAt(kTrue);
  const absl::Duration since = wall_ - started;
  Pass(absl::Seconds(1));
  const auto sent = [&] {
    return std::any_of(ports_.sent.begin(), ports_.sent.end(), [](const v1::WorkerMessage& one) {
      EXPECT_FALSE(one.has_report() && one.report().at_unix_seconds() < 1e9);
      return one.report().has_started();
    });
  };
  EXPECT_FALSE(sent());
  disk_.set_full(false);
  Pass(absl::Seconds(6));
  EXPECT_TRUE(sent());
  EXPECT_NEAR(Last("started").at_unix_seconds(),
              absl::ToDoubleSeconds(kTrue - absl::UnixEpoch() - since), 2);
  EXPECT_TRUE(Last("started").restamped());
}

TEST_F(TimeTest, ReportsOfAnEarlierBootGetTheLatestTimeThatWasKnown) {
  WelcomeAt(kTrue);
  core_->Shutdown(Now());
  Reboot();
  Desire({Job("j1.1")});
  EXPECT_LT(Last("accepted").at_unix_seconds(), 1e6);
  core_->Shutdown(Now());
  Reboot();
  EXPECT_NEAR(Last("accepted").at_unix_seconds(), absl::ToDoubleSeconds(kTrue - absl::UnixEpoch()),
              5);
  EXPECT_TRUE(Last("accepted").restamped());
}

}  // namespace
}  // namespace wattle::agent
