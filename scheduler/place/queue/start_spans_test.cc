// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Between which moments a plan expects its starts and ends, and the charge that it expects there.
#include "scheduler/place/queue/start_spans.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/testing/event_loop_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::ContainsRegex;
using ::testing::SizeIs;

constexpr double kHourSeconds = 3600;
const double kNowSeconds = absl::ToDoubleSeconds(kTestNow - absl::UnixEpoch());

// A board whose attempt ends in 1 h, or between 50 min and 80 min.
DeviceView BusyBoard() {
  DeviceView view = OrinNano("busy");
  view.device.set_running_attempt_id("j9.1");
  view.device.mutable_heartbeat()->add_cached_artifact_ids("m");
  view.device.mutable_heartbeat()->add_cached_artifact_ids("d");
  view.free_at = kTestNow + absl::Hours(1);
  view.running_power = Watts(9);
  view.committed_energy = Watts(10) * absl::Hours(1);
  view.remaining_low = absl::Minutes(50);
  view.remaining_high = absl::Minutes(80);
  return view;
}

double LengthSeconds(const v1::Prediction& prediction, double run_seconds) {
  return TotalSeconds(prediction, run_seconds);
}

class StartSpansTest : public testing::Test {
 protected:
  v1::Candidate Plan(const DeviceView& board) {
    const auto plan = PlanJob(Snapshot{MakeWith(board)}, RealJob("j1", 1000));
    EXPECT_THAT(plan, IsOk());
    return plan->candidates(0);
  }
  std::vector<QueuePlacement> PlanOf(const DeviceView& board, int jobs) {
    Snapshot snapshot = MakeWith(board);
    for (int job = 1; job <= jobs; ++job) {
      snapshot.queue.push_back(RealJob("j" + std::to_string(job), 1000));
    }
    return PlanQueue(snapshot);
  }
  Snapshot MakeWith(const DeviceView& board) {
    Snapshot snapshot = MakeSnapshot({board}, table_);
    if (policy_.has_value()) {
      snapshot.policies = {*policy_};
    }
    return snapshot;
  }

  const ProfileTable table_ = ProfileTable::Priors();
  std::optional<v1::Policy> policy_;
};

TEST_F(StartSpansTest, AStartBehindAnAttemptHasItsSpan) {
  const v1::Candidate candidate = Plan(BusyBoard());
  EXPECT_EQ(candidate.start_in_seconds(), kHourSeconds);
  EXPECT_EQ(candidate.start_low_in_seconds(), 50 * 60);
  EXPECT_EQ(candidate.start_high_in_seconds(), 80 * 60);
  const v1::Prediction& prediction = candidate.prediction();
  EXPECT_NEAR(candidate.finish_low_in_seconds(),
              50 * 60 + LengthSeconds(prediction, prediction.run_seconds().low()), 0.001);
  EXPECT_GE(candidate.finish_high_in_seconds(),
            80 * 60 + LengthSeconds(prediction, prediction.run_seconds().high()));
  EXPECT_LT(candidate.finish_low_in_seconds(), candidate.finish_in_seconds());
}

TEST_F(StartSpansTest, AStartNowHasTheSpanOfItsEndAlone) {
  DeviceView board = OrinNano();
  const v1::Candidate candidate = Plan(board);
  EXPECT_EQ(candidate.start_high_in_seconds(), 0);
  EXPECT_LT(candidate.finish_low_in_seconds(), candidate.finish_in_seconds());
  EXPECT_GT(candidate.finish_high_in_seconds(), candidate.finish_in_seconds());
}

TEST_F(StartSpansTest, SpansOfAQueueAddUp) {
  const std::vector<QueuePlacement> plan = PlanOf(BusyBoard(), 3);
  ASSERT_THAT(plan, SizeIs(3));
  double low = 50 * 60;
  double high = 80 * 60;
  for (const QueuePlacement& placed : plan) {
    const v1::Candidate& chosen = placed.placement.best(0);
    EXPECT_NEAR(chosen.start_low_in_seconds(), low, 0.001) << placed.job.value();
    EXPECT_NEAR(chosen.start_high_in_seconds(), high, 0.001) << placed.job.value();
    EXPECT_NEAR(placed.placement.start_low_unix_seconds(), kNowSeconds + low, 0.001);
    EXPECT_NEAR(placed.placement.start_high_unix_seconds(), kNowSeconds + high, 0.001);
    EXPECT_NEAR(placed.placement.end_low_unix_seconds(),
                kNowSeconds + chosen.finish_low_in_seconds(), 0.001);
    EXPECT_NEAR(placed.placement.end_high_unix_seconds(),
                kNowSeconds + chosen.finish_high_in_seconds(), 0.001);
    low = chosen.finish_low_in_seconds();
    high = chosen.finish_high_in_seconds();
  }
}

TEST_F(StartSpansTest, AWindowOpensWhenItOpens) {
  policy_.emplace().add_work_windows("20:00-06:00");
  DeviceView board = BusyBoard();
  board.device.clear_running_attempt_id();
  board.free_at = absl::InfinitePast();
  const std::vector<QueuePlacement> plan = PlanOf(board, 2);
  ASSERT_THAT(plan, SizeIs(2));
  const v1::Candidate& first = plan[0].placement.best(0);
  EXPECT_EQ(first.start_low_in_seconds(), 12 * kHourSeconds);  // 20:00, seen from 08:00.
  EXPECT_EQ(first.start_high_in_seconds(), 12 * kHourSeconds);
  EXPECT_GT(first.finish_high_in_seconds(), first.finish_in_seconds());
  EXPECT_NEAR(plan[1].placement.best(0).start_low_in_seconds(), first.finish_low_in_seconds(), 1);
}

// The length of a hand-over is unknown, and so is that of a pause without a clock.
TEST_F(StartSpansTest, WhatIsNotKnownHasNoSpan) {
  DeviceView hands_over = BusyBoard();
  hands_over.hands_over = true;
  DeviceView guessed = BusyBoard();
  guessed.remaining_high = absl::ZeroDuration();
  for (const DeviceView& board : {hands_over, guessed}) {
    const std::vector<QueuePlacement> plan = PlanOf(board, 2);
    for (const QueuePlacement& placed : plan) {
      EXPECT_EQ(placed.placement.best(0).start_high_in_seconds(), 0);
      EXPECT_EQ(placed.placement.best(0).finish_high_in_seconds(), 0);
      EXPECT_EQ(placed.placement.start_high_unix_seconds(), 0);
      EXPECT_GT(placed.placement.expected_start_unix_seconds(), 0);
    }
  }
}

// 40 Wh, at the reserve of 30 %; the sun of the day before brought 120 Wh.
DeviceView BoardUnderSun(double charge, double sun_wh) {
  DeviceView view = OrinNano("mast");
  SetBattery(40, charge, &view);
  view.device.mutable_info()->set_idle_power_watts(1.5);
  for (const double watts : DaySun(sun_wh)) {
    view.device.mutable_ledger()->add_harvest_power_watts_by_hour(watts);
  }
  return view;
}

v1::Policy ReserveOf(double share) {
  v1::Policy policy;
  policy.set_name("north");
  policy.set_reserve_state_of_charge_ratio(share);
  policy.add_work_windows("00:00-24:00");  // Keeps runs from resting at the reserve.
  return policy;
}

TEST_F(StartSpansTest, UnderSunTheStartIsBetweenThatOfABrightAndOfADarkDay) {
  policy_ = ReserveOf(0.3);
  const DeviceView board = BoardUnderSun(0.33, 120);
  const std::vector<QueuePlacement> plan = PlanOf(board, 1);
  const v1::Candidate& chosen = plan.at(0).placement.best(0);
  ASSERT_EQ(chosen.refused_by(), "battery_reserve") << plan[0].placement.reason();
  ASSERT_GT(chosen.start_in_seconds(), 600);
  EXPECT_LT(chosen.start_low_in_seconds(), chosen.start_in_seconds());
  EXPECT_GE(chosen.start_high_in_seconds(), chosen.start_in_seconds());
  EXPECT_GT(chosen.start_state_of_charge_ratio(), 0.3);
  EXPECT_LT(chosen.start_state_of_charge_ratio(), 1);
  EXPECT_LT(chosen.finish_low_in_seconds(), chosen.finish_in_seconds());
  // A dry run has the same words.
  const v1::Candidate refused = Plan(board);
  EXPECT_FALSE(refused.feasible());
  EXPECT_THAT(refused.reason(),
              ContainsRegex("feasible in [0-9].* \\(90 %: .* to .*\\), when its pack has "
                            "[0-9]+ %$"));
}

// The charge of a plan is that of the timetable's band.
TEST_F(StartSpansTest, UnderSunThePlanTellsTheMedianCharge) {
  DeviceView board = BoardUnderSun(0.5, 120);
  board.free_at = kTestNow + absl::Hours(3);
  board.device.set_running_attempt_id("j9.1");
  const v1::Candidate candidate = Plan(board);
  ASSERT_TRUE(candidate.has_battery());
  EXPECT_DOUBLE_EQ(candidate.state_of_charge_ratio(), 0.5);
  // Three hours of up to 15 W of sun, and 1.5 W of idle.
  EXPECT_GT(candidate.start_state_of_charge_ratio(), 0.6);
  Snapshot snapshot = MakeWith(board);
  const QueuePlan plan = PlanQueueWithCharge(snapshot);
  EXPECT_NEAR(candidate.start_state_of_charge_ratio() * 40 * 3'600'000,
              static_cast<double>(plan.charge[0].at(3).median), 1);
  // The run draws more than the sun brings; without sun it would leave less.
  EXPECT_GT(candidate.state_of_charge_after_ratio(), 0.5);
}

TEST_F(StartSpansTest, WithoutSunTheIdleDrawUntilTheStartCounts) {
  policy_.emplace().add_work_windows("20:00-06:00");
  DeviceView board = OrinNano("mast");
  SetBattery(200, 0.9, &board);
  board.device.mutable_info()->set_idle_power_watts(2);
  const std::vector<QueuePlacement> plan = PlanOf(board, 1);
  const v1::Candidate& chosen = plan.at(0).placement.best(0);
  ASSERT_EQ(chosen.start_in_seconds(), 12 * kHourSeconds);
  EXPECT_NEAR(chosen.start_state_of_charge_ratio(), 0.9 - 24.0 / 200, 1e-9);
  const v1::Prediction& prediction = chosen.prediction();
  const Joules run = GrossDemand(prediction, Joules(prediction.run_energy_joules().mean()));
  EXPECT_NEAR(chosen.state_of_charge_after_ratio(), 0.9 - (24 + ToWattHours(run)) / 200, 1e-9);
}

}  // namespace
}  // namespace wattle::scheduler
