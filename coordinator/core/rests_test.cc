// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of attempts that rest at the reserve of their board: what the core makes of such a pause.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/fleet_timetable.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/boards_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;

constexpr char kReserveReason[] = "battery at 30 %, reserve 30 %";
constexpr int kHourSeconds = 3600;

// A board whose pack is half full and has its reserve at 30 %: 10 Wh at 09:00, an hour of work
// beside what the sun brings.
class RestsTest : public testing::Test {
 protected:
  RestsTest() {
    v1::Policy policy;
    policy.set_name("north");
    policy.set_reserve_state_of_charge_ratio(0.3);
    boards.Do(ApplyPolicy{policy});
    boards.Add("mast", 1, /*battery_wh=*/50);
    boards.TellHarvest("mast", 6);
  }
  const v1::Attempt& Place(int steps) {
    boards.Submit(steps);
    boards.Plan();
    boards.Run("j1.1");
    return boards.Attempt("j1.1");
  }
  // j1 runs, and j2 waits on the board behind it, planned while the pack holds `charge_ratio`.
  void QueueBehind(int steps, double charge_ratio) {
    Place(600);
    device().takes_queued = true;
    device().heartbeat.set_state_of_charge_ratio(charge_ratio);
    boards.Submit(steps);
    boards.Plan();
    boards.Accept("j2.1");
  }
  void BeginBehind(double charge_ratio) {
    boards.Snapshot();  // The board has just sent a heartbeat.
    device().heartbeat.set_state_of_charge_ratio(charge_ratio);
    boards.Start("j2.1");
  }
  double RestSecondsOf(const std::string& attempt) {
    return boards.Attempt(attempt).prediction().rest_seconds();
  }
  DeviceObservation& device() { return boards.observations.devices[DeviceId("mast")]; }
  scheduler::DeviceView View() { return boards.Snapshot().devices[0]; }

  Boards boards;
};

TEST_F(RestsTest, ARestIsNoStopAgainstThePlan) {
  EXPECT_GT(Place(6 * kHourSeconds).prediction().rest_seconds(), kHourSeconds);
  boards.Pause("j1.1", kReserveReason);
  EXPECT_EQ(View().runs_stopped_by_charge, 0);
  boards.Start("j1.1");
  boards.Finish("j1.1");
  EXPECT_EQ(View().runs_ended, 0) << "a run that never needs the charge proves no plan";
}

TEST_F(RestsTest, AStopOfARunThatWasPlannedWithoutRestsIs) {
  EXPECT_EQ(Place(600).prediction().rest_seconds(), 0);
  boards.Pause("j1.1", kReserveReason);
  EXPECT_EQ(View().runs_stopped_by_charge, 1);
  boards.Start("j1.1");
  boards.Finish("j1.1");
  EXPECT_EQ(View().runs_ended, 1);
}

TEST_F(RestsTest, TheEndOfARestIsThePlansToTell) {
  Place(6 * kHourSeconds);
  boards.Pause("j1.1", kReserveReason);
  EXPECT_THAT(View().waits_for, HasSubstr("its attempt j1.1 rests at its reserve until the sun"));
  EXPECT_LT(View().free_at - boards.Now().wall, absl::Hours(7)) << "its work alone";
  EXPECT_TRUE(View().rests_at_reserve.has_value());
}

TEST_F(RestsTest, APauseForHeatIsNoRest) {
  Place(6 * kHourSeconds);
  boards.Pause("j1.1", "temperature 91 °C");
  EXPECT_THAT(View().waits_for, HasSubstr("nothing tells until when"));
}

// The next job's place is behind the rests of the one that runs.
TEST_F(RestsTest, ThePlanCountsTheRestsOfARunningAttempt) {
  Place(6 * kHourSeconds);
  boards.Submit(600);
  const PlanComputed plan = ComputePlan(boards.Snapshot());
  ASSERT_EQ(plan.jobs.size(), 1);
  EXPECT_GT(plan.jobs[0].placement.best(0).start_in_seconds(), 7 * kHourSeconds);
  EXPECT_FALSE(plan.jobs[0].withdraw);
}

// The next job's turn is behind the rests, and it waits on the board for it.
TEST_F(RestsTest, AJobBehindARunThatRestsWaitsOnTheBoard) {
  Place(6 * kHourSeconds);
  boards.observations.devices[DeviceId("mast")].takes_queued = true;
  boards.observations.progress[AttemptId("j1.1")].set_remaining_seconds(kHourSeconds);
  boards.observations.devices[DeviceId("mast")].heartbeat.set_state_of_charge_ratio(0.3);
  boards.Submit(6 * kHourSeconds);
  const PlanComputed plan = ComputePlan(boards.Snapshot());
  ASSERT_EQ(plan.jobs.size(), 1);
  EXPECT_GT(plan.jobs[0].placement.best(0).start_in_seconds(), 1.5 * kHourSeconds);
  EXPECT_TRUE(plan.jobs[0].queue) << plan.jobs[0].placement.reason();
}

TEST_F(RestsTest, TheTimetableSaysForHowLongARunningAttemptRests) {
  const double rests = Place(6 * kHourSeconds).prediction().rest_seconds();
  boards.Snapshot();  // The board has just sent a heartbeat.
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(timetable, IsOk());
  ASSERT_EQ(timetable->devices(0).entries_size(), 1);
  const v1::TimetableEntry& entry = timetable->devices(0).entries(0);
  EXPECT_EQ(entry.attempt_id(), "j1.1");
  EXPECT_GE(entry.rest_seconds(), rests);
  EXPECT_LT(entry.rest_seconds(), 1.1 * rests) << "its watts are those of the upper quantile";
  EXPECT_NEAR(entry.end_unix_seconds() - entry.begin_unix_seconds(),
              6 * kHourSeconds + entry.rest_seconds(), 600);
}

TEST_F(RestsTest, TheLeaseCoversTheRests) {
  const v1::Attempt& attempt = Place(6 * kHourSeconds);
  EXPECT_GT(LeaseSecondsOf(attempt), 6 * kHourSeconds + attempt.prediction().rest_seconds());
}

TEST_F(RestsTest, ARunThatWaitedOnItsBoardIsPlannedAnewAsItBegins) {
  QueueBehind(2 * kHourSeconds, /*charge_ratio=*/0.9);
  EXPECT_EQ(RestSecondsOf("j2.1"), 0);
  BeginBehind(/*charge_ratio=*/0.31);
  EXPECT_GT(RestSecondsOf("j2.1"), 600);
  boards.Pause("j2.1", kReserveReason);
  EXPECT_EQ(View().runs_stopped_by_charge, 0) << "a rest that was foreseen";
}

TEST_F(RestsTest, AsItBeginsTheChargeMayBearARunThatWasPlannedWithRests) {
  QueueBehind(6 * kHourSeconds, /*charge_ratio=*/0.5);
  EXPECT_GT(RestSecondsOf("j2.1"), kHourSeconds);
  BeginBehind(/*charge_ratio=*/1);
  EXPECT_LT(RestSecondsOf("j2.1"), kHourSeconds);
}

TEST_F(RestsTest, ARunThatBeganAtOnceKeepsItsPlan) {
  boards.Submit(2 * kHourSeconds);
  device().heartbeat.set_state_of_charge_ratio(0.9);
  boards.Plan();
  device().heartbeat.set_state_of_charge_ratio(0.31);
  boards.Run("j1.1");
  EXPECT_EQ(RestSecondsOf("j1.1"), 0);
}

TEST_F(RestsTest, OnlyTheFirstBeginIsPlannedAnew) {
  QueueBehind(2 * kHourSeconds, /*charge_ratio=*/0.9);
  BeginBehind(/*charge_ratio=*/0.9);
  boards.Pause("j2.1", kReserveReason);
  EXPECT_EQ(View().runs_stopped_by_charge, 1);
  BeginBehind(/*charge_ratio=*/0.31);
  EXPECT_EQ(RestSecondsOf("j2.1"), 0);
}

// The spool of a board without a link reports begins that are past.
TEST_F(RestsTest, ABeginThatIsToldLateChangesNoPlan) {
  QueueBehind(2 * kHourSeconds, /*charge_ratio=*/0.9);
  device().caught_up = false;
  BeginBehind(/*charge_ratio=*/0.31);
  EXPECT_EQ(RestSecondsOf("j2.1"), 0);
}

TEST_F(RestsTest, ARestTakesNothingOffTheWorkThatIsLeft) {
  Place(6 * kHourSeconds);
  boards.Advance(absl::Hours(2));
  boards.Pause("j1.1", kReserveReason);
  boards.Advance(absl::Hours(12));
  const absl::Duration left = RemainingTime(boards.state, boards.observations,
                                            boards.Attempt("j1.1"), boards.Now().monotonic);
  EXPECT_GT(left, absl::Hours(4));
  EXPECT_LT(left, absl::Hours(4.5));
}

}  // namespace
}  // namespace wattle::core
