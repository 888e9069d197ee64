// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the times and contents of the core's heartbeats.
#include <string>
#include <vector>

#include "proto/heartbeat_changes.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

class HeartbeatTest : public AgentCoreTest {
 protected:
  void WelcomeThatTakesChanges() {
    core_->OnConnected(Now());
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_heartbeat_seconds(1);
    message.mutable_welcome()->set_takes_heartbeat_changes(true);
    core_->OnMessage(message, Now());
  }
  void Meter(int64_t bytes_per_day) {
    v1::CoordinatorMessage message;
    message.mutable_desired()->add_policies()->mutable_link()->set_bytes_per_day(bytes_per_day);
    core_->OnMessage(message, Now());
  }
  // "whole" or "changes" for each heartbeat since the last call, applied to the coordinator's view.
  std::vector<std::string> Heard() {
    std::vector<std::string> kinds;
    for (const v1::WorkerMessage& message : ports_.sent) {
      if (message.has_heartbeat()) {
        known_ = message.heartbeat();
        kinds.emplace_back("whole");
      } else if (message.has_heartbeat_changes()) {
        ApplyChanges(message.heartbeat_changes(), known_);
        kinds.emplace_back("changes");
      }
    }
    ports_.sent.clear();
    return kinds;
  }

  void PassInSun(int minutes) {
    for (int minute = 0; minute < minutes; ++minute) {
      wall_ = wall_ + absl::Seconds(59);
      civil_ += absl::Seconds(60);
      Pass(absl::Seconds(1));
      core_->OnCharge(Now().device, Fraction(0.5), FromWattHours(50), Watts(-5));
    }
  }

  v1::Heartbeat known_;
};

TEST_F(HeartbeatTest, AfterAWholeOneHeartbeatsSayWhatChanged) {
  WelcomeThatTakesChanges();
  core_->SetCache({"a", "b"}, 7);
  Pass(absl::Seconds(3));
  EXPECT_EQ(Heard(), (std::vector<std::string>{"whole", "changes", "changes", "changes"}));
  EXPECT_EQ(known_.cached_artifact_ids_size(), 2);
  EXPECT_EQ(known_.power_watts(), 10);
  core_->SetCache({}, 0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(Heard(), std::vector<std::string>{"changes"});
  EXPECT_EQ(known_.cached_artifact_ids_size(), 0);
}

// The job's energy budget and its answers include what the attempt drew before it was held.
TEST_F(HeartbeatTest, APausedAttemptTellsItsJoules) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.8);
  Desire({Job("j1.1")}, 0.3);
  core_->OnFetched({}, Now());
  Phase("load");
  Phase("train");
  Pass(absl::Seconds(20));
  Charge(0.2);
  core_->Step(Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(4));
  ASSERT_THAT(Facts(), testing::Contains("paused"));
  const auto told = [this] { return core_->MakeHeartbeat(Now()).progress(); };
  ASSERT_EQ(told().size(), 1);
  const v1::AttemptProgress paused = told().at(0);
  EXPECT_EQ(paused.attempt_id(), "j1.1");
  EXPECT_GT(paused.energy_joules(), 190);
  EXPECT_FALSE(paused.waiting_reason().empty()) << "it is no running attempt with a chart";
  Pass(absl::Seconds(30));
  EXPECT_EQ(told().at(0).SerializeAsString(), paused.SerializeAsString()) << "it is told once";
  Boot();
  ASSERT_EQ(told().size(), 1);
  EXPECT_EQ(told().at(0).energy_joules(), paused.energy_joules());
}

TEST_F(HeartbeatTest, EachWelcomeGetsAWholeOne) {
  WelcomeThatTakesChanges();
  Pass(absl::Seconds(1));
  core_->OnDisconnected(Now());
  Pass(absl::Seconds(5));
  Heard();
  WelcomeThatTakesChanges();
  EXPECT_EQ(Heard(), std::vector<std::string>{"whole"});
}

TEST_F(HeartbeatTest, AnOlderCoordinatorGetsWholeOnesAtItsOwnInterval) {
  Welcome();
  Meter(2'000'000);
  Pass(absl::Seconds(3));
  EXPECT_EQ(Heard(), std::vector<std::string>(4, "whole"));
}

TEST_F(HeartbeatTest, OnAMeteredLinkTheyComeLessOften) {
  WelcomeThatTakesChanges();
  Meter(2'000'000);
  Heard();
  Pass(absl::Minutes(5));
  EXPECT_EQ(Heard(), std::vector<std::string>(5, "changes"));
  // Without the limit the next heartbeat follows in a second.
  Desire({});
  Pass(absl::Seconds(2));
  EXPECT_EQ(Heard().size(), 2U);
}

// A panel of 15 W: the board draws 10 W, and 5 W charge the battery.
TEST_F(HeartbeatTest, TheSunOfTheLatestHoursIsToldAndKeptOverARestart) {
  has_gauge_ = true;
  kept_by_time_service_ = true;
  civil_ = absl::FromUnixSeconds(1'900'022'400);  // a full hour
  Boot();
  Welcome();
  PassInSun(/*minutes=*/150);
  v1::RecentHarvest told = core_->MakeHeartbeat(Now()).recent_harvest();
  ASSERT_EQ(told.power_watts_size(), 2);
  EXPECT_EQ(told.last_hour(), 1'900'022'400 / 3600 + 1);
  EXPECT_NEAR(told.power_watts(0), 15, 0.1);
  EXPECT_NEAR(told.power_watts(1), 15, 0.1);
  Pass(absl::Minutes(6));  // the record is saved in this time
  Boot();
  core_->OnCharge(Now().device, Fraction(0.5), FromWattHours(50), Watts(-5));
  told = core_->MakeHeartbeat(Now()).recent_harvest();
  ASSERT_EQ(told.power_watts_size(), 2);
  EXPECT_NEAR(told.power_watts(1), 15, 0.1);
}

// A restarted coordinator receives the hours of the previous days again. An older one, which
// accepts one day, receives them in the next heartbeat.
TEST_F(HeartbeatTest, TheFirstHeartbeatOfAStreamTellsTheDaysBeforeToo) {
  has_gauge_ = true;
  kept_by_time_service_ = true;
  civil_ = absl::FromUnixSeconds(1'900'022'400);
  Boot();
  Welcome();
  PassInSun(/*minutes=*/100 * 60);
  core_->OnDisconnected(Now());
  Heard();
  WelcomeThatTakesChanges();
  EXPECT_EQ(Heard(), std::vector<std::string>{"whole"});
  EXPECT_EQ(known_.recent_harvest().power_watts_size(), 96);
  EXPECT_NEAR(known_.recent_harvest().power_watts(0), 15, 0.1);
  const int64_t last = known_.recent_harvest().last_hour();
  Pass(absl::Seconds(1));
  EXPECT_EQ(Heard(), std::vector<std::string>{"changes"});
  EXPECT_EQ(known_.recent_harvest().power_watts_size(), 24);
  EXPECT_EQ(known_.recent_harvest().last_hour(), last);
}

}  // namespace
}  // namespace wattle::agent
