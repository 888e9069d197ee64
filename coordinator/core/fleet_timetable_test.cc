// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of the timetable of the whole fleet, over boards that report as real ones would.
#include "coordinator/core/fleet_timetable.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/boards_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

TEST(FleetTimetableTest, HasWhatRunsAndThePlacesBehind) {
  Boards boards;
  boards.Add("fast", 1);
  boards.Submit(600);
  boards.Plan();
  boards.Run("j1.1");
  boards.Submit(600);
  boards.Submit(600);
  boards.Plan();
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(timetable, IsOk());
  EXPECT_EQ(timetable->horizon_seconds(), 48 * 3600);
  ASSERT_THAT(timetable->devices(), SizeIs(1));
  const v1::DeviceTimetable& fast = timetable->devices(0);
  ASSERT_THAT(fast.entries(), SizeIs(3));
  EXPECT_EQ(fast.entries(0).attempt_id(), "j1.1");
  EXPECT_EQ(fast.entries(1).job_id(), "j2");
  EXPECT_EQ(fast.entries(2).job_id(), "j3");
  for (int i = 1; i < 3; ++i) {
    EXPECT_EQ(fast.entries(i).begin_unix_seconds(), fast.entries(i - 1).end_unix_seconds());
    EXPECT_GT(fast.entries(i).end_unix_seconds(), fast.entries(i).begin_unix_seconds());
    EXPECT_NEAR(fast.entries(i).begin_low_unix_seconds(),
                fast.entries(i - 1).end_low_unix_seconds(), 0.001);
    EXPECT_NEAR(fast.entries(i).begin_high_unix_seconds(),
                fast.entries(i - 1).end_high_unix_seconds(), 0.001);
  }
  for (const v1::TimetableEntry& entry : fast.entries()) {
    EXPECT_LT(entry.end_low_unix_seconds(), entry.end_unix_seconds());
    EXPECT_GT(entry.end_high_unix_seconds(), entry.end_unix_seconds());
  }
  EXPECT_EQ(fast.entries(0).begin_high_unix_seconds(), 0) << "it runs";
  EXPECT_THAT(fast.charge(), SizeIs(0));  // No sun is known.
  EXPECT_EQ(fast.sun_source(), "");
}

v1::Timetable TimetableOf(Boards& boards) {
  boards.Snapshot();  // The boards have just sent heartbeats.
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  EXPECT_THAT(timetable, IsOk());
  return timetable.value_or(v1::Timetable());
}

TEST(FleetTimetableTest, AnAttemptThatLeavesForADeadlineGoesOnBehindIt) {
  Boards boards;
  boards.Add("orin", 1);
  boards.RunAnHourOfTwenty();
  v1::JobSpec urgent = Finetune();
  urgent.set_deadline_seconds(3 * 3600);
  urgent.set_priority(100);
  boards.Submit(1800, urgent);
  v1::Timetable timetable = TimetableOf(boards);
  const v1::DeviceTimetable& orin = timetable.devices(0);
  ASSERT_THAT(orin.entries(), SizeIs(3));
  EXPECT_EQ(orin.entries(0).attempt_id(), "j1.1");
  EXPECT_EQ(orin.entries(0).waits_for(), "leaves for the deadline of j2");
  EXPECT_EQ(orin.entries(0).end_high_unix_seconds(), 0) << "nobody knows how long it hands over";
  EXPECT_LT(orin.entries(0).end_unix_seconds(), timetable.at_unix_seconds() + 600);
  EXPECT_EQ(orin.entries(1).job_id(), "j2");
  EXPECT_EQ(orin.entries(1).waits_for(), "j1.1 leaves the board for its deadline");
  EXPECT_NEAR(orin.entries(1).begin_unix_seconds(), orin.entries(0).end_unix_seconds(), 1);
  EXPECT_EQ(orin.entries(2).job_id(), "j1");
  EXPECT_EQ(orin.entries(2).attempt_id(), "");
  EXPECT_EQ(orin.entries(2).waits_for(), "goes on from its checkpoint, here or elsewhere");
  EXPECT_EQ(orin.entries(2).begin_unix_seconds(), orin.entries(1).end_unix_seconds());
  EXPECT_GT(orin.entries(2).end_unix_seconds(), timetable.at_unix_seconds() + 19 * 3600);

  boards.Plan();
  timetable = TimetableOf(boards);
  EXPECT_THAT(timetable.devices(0).entries(0).waits_for(),
              "its attempt j1.1 hands over: left orin to j2, whose deadline was 3 h 00 min away");
}

TEST(FleetTimetableTest, AnAttemptThatMovesForAGainHasAPlaceOnTheOtherBoard) {
  Boards boards;
  boards.Add("fast", 0.5);
  boards.Do(DrainDevice{.device = DeviceId("fast"), .reason = "card swap"});
  boards.Add("slow", 1);
  boards.RunAnHourOfTwenty();
  boards.observations.progress[AttemptId("j1.1")].set_step(3600);
  EXPECT_THAT(TimetableOf(boards).devices(0).entries(), SizeIs(0));
  boards.Do(ResumeDevice{DeviceId("fast")});
  v1::Timetable timetable = TimetableOf(boards);
  const v1::DeviceTimetable& fast = timetable.devices(0);
  const v1::DeviceTimetable& slow = timetable.devices(1);
  ASSERT_THAT(slow.entries(), SizeIs(1));
  EXPECT_EQ(slow.entries(0).attempt_id(), "j1.1");
  EXPECT_THAT(slow.entries(0).waits_for(), StartsWith("moves to fast: its rest takes 95.03 Wh"));
  EXPECT_LT(slow.entries(0).end_unix_seconds(), timetable.at_unix_seconds() + 600);
  ASSERT_THAT(fast.entries(), SizeIs(1));
  EXPECT_EQ(fast.entries(0).job_id(), "j1");
  EXPECT_EQ(fast.entries(0).attempt_id(), "");
  EXPECT_EQ(fast.entries(0).waits_for(), "moves from slow");
  EXPECT_NEAR(fast.entries(0).begin_unix_seconds(), slow.entries(0).end_unix_seconds(), 1);
  EXPECT_NEAR(fast.entries(0).end_unix_seconds(), timetable.at_unix_seconds() + 9.5 * 3600, 1200);

  boards.Plan();
  timetable = TimetableOf(boards);
  EXPECT_THAT(timetable.devices(1).entries(0).waits_for(),
              StartsWith("its attempt j1.1 hands over: moves to fast: its rest takes"));
}

// The end of a pause for heat is unknown.
TEST(FleetTimetableTest, APauseThatNoClockEndsHasNoSpan) {
  Boards boards;
  boards.Add("fast", 1);
  boards.Submit(600);
  boards.Plan();
  boards.Run("j1.1");
  boards.Submit(600);
  boards.Pause("j1.1", "temperature 91 °C");
  boards.Snapshot();  // The board has just sent a heartbeat.
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(timetable, IsOk());
  for (const v1::TimetableEntry& entry : timetable->devices(0).entries()) {
    EXPECT_EQ(entry.begin_high_unix_seconds(), 0);
    EXPECT_EQ(entry.end_high_unix_seconds(), 0);
  }
}

TEST(FleetTimetableTest, CountsTheSunThatTheBoardReported) {
  Boards boards;
  boards.Add("mast", 1, /*battery_wh=*/50);
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->clear_epochs();
  spec.mutable_finetune()->set_steps(static_cast<int64_t>(5.4 * 3600));
  const auto possible = [&] {
    return CheckPossible(boards.state, boards.observations, {}, spec, boards.Now());
  };
  EXPECT_THAT(possible(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("its battery of 50.00 Wh is too small")));
  boards.TellHarvest("mast", 12);
  EXPECT_THAT(possible(), IsOk());
  boards.Submit(static_cast<int>(spec.finetune().steps()));
  boards.Snapshot();  // The board has just sent a heartbeat.
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(timetable, IsOk());
  ASSERT_THAT(timetable->devices(), SizeIs(1));
  const v1::DeviceTimetable& mast = timetable->devices(0);
  ASSERT_THAT(mast.entries(), SizeIs(1));
  EXPECT_GT(mast.entries(0).begin_unix_seconds(), timetable->at_unix_seconds());
  EXPECT_THAT(mast.entries(0).waits_for(), HasSubstr("too small"));
  ASSERT_GE(mast.charge_size(), 48);
  EXPECT_THAT(mast.sun_source(), StartsWith("its own days before"));
  EXPECT_NEAR(mast.charge(0).median_ratio(), 0.5, 1e-6);
  for (const v1::ChargeForecast& charge : mast.charge()) {
    EXPECT_LE(charge.low_ratio(), charge.median_ratio());
    EXPECT_LE(charge.median_ratio(), charge.high_ratio());
    EXPECT_LE(charge.high_ratio(), 1);
  }
}

TEST(FleetTimetableTest, SaysWhichJobHasNoPlace) {
  Boards boards;
  boards.Add("fast", 1);
  boards.Submit(600);
  boards.Do(DrainDevice{.device = DeviceId("fast"), .reason = "rain"});
  boards.Snapshot();  // The board has just sent a heartbeat.
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(timetable, IsOk());
  ASSERT_THAT(timetable->without_place(), SizeIs(1));
  EXPECT_EQ(timetable->without_place(0).job_id(), "j1");
  EXPECT_THAT(timetable->without_place(0).reason(), HasSubstr("drained"));
}

// A board's line gives a reason exactly if the planner refuses the board every job.
TEST(FleetTimetableTest, SaysWhyABoardTakesNoWork) {
  struct Case {
    std::function<void(Boards&)> change;
    std::string because;
  };
  const auto heartbeat = [](Boards& boards) -> v1::Heartbeat& {
    return boards.observations.devices[DeviceId("fast")].heartbeat;
  };
  const auto reserve = [](Boards& boards) {
    v1::Policy policy;
    policy.set_name("mast");
    policy.set_reserve_state_of_charge_ratio(0.3);
    boards.Do(ApplyPolicy{policy});
  };
  const std::vector<Case> cases = {
      {[](Boards&) {}, ""},
      {[](Boards& boards) {
         boards.Do(DrainDevice{.device = DeviceId("fast"), .reason = "card swap"});
       },
       "drained: card swap"},
      {[](Boards& boards) {
         boards.Advance(absl::Hours(3));
         boards.observations.devices[DeviceId("fast")].connected = false;
       },
       "unreachable for 3 h 00 min"},
      {[](Boards& boards) {  // A restart; the observations of the last process are gone.
         boards.observations.devices.clear();
         boards.observations.started = boards.Now();
         boards.Advance(absl::Seconds(3));
       },
       "unreachable since the coordinator's start, 3.0 s ago"},
      {[&](Boards& boards) { heartbeat(boards).set_owner_hold_seconds(2400); },
       "held by its owner for 40 min 00 s"},
      {[&](Boards& boards) { heartbeat(boards).set_storage_problem("disk full: /var"); },
       "disk full: /var"},
      {[&](Boards& boards) {
         reserve(boards);
         heartbeat(boards).set_guard_reason("battery at 28 %");
       },
       "held by policy: battery at 28 %"},
      // A guard that enforces a policy which is gone counts no more.
      {[&](Boards& boards) { heartbeat(boards).set_guard_reason("battery at 28 %"); }, ""},
      {[&](Boards& boards) { heartbeat(boards).set_guard_reason("under-voltage: x"); },
       "under-voltage: x"},
      {[&](Boards& boards) { heartbeat(boards).set_memory_problem("memory is short: x"); },
       "memory is short: x"},
      {[&](Boards& boards) {
         boards.Do(DrainDevice{.device = DeviceId("fast"), .reason = ""});
         heartbeat(boards).set_owner_hold_seconds(60);
       },
       "drained; held by its owner for 1 min 00 s"},
  };
  for (const Case& each : cases) {
    Boards boards;
    boards.Add("fast", 1, /*battery_wh=*/50);
    boards.Snapshot();  // The board has just sent a heartbeat.
    each.change(boards);
    const auto timetable =
        FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
    ASSERT_THAT(timetable, IsOk());
    EXPECT_EQ(timetable->devices(0).takes_none_because(), each.because);
    v1::PlanRequest request;
    *request.mutable_spec() = Finetune();
    request.mutable_spec()->mutable_finetune()->set_steps(10);
    const auto plan = DryRun(boards.state, boards.observations, {}, request, boards.Now());
    ASSERT_THAT(plan, IsOk());
    EXPECT_EQ(plan->candidates(0).feasible(), each.because.empty()) << each.because;
  }
}

// A reserve is shown where something guards it.
TEST(FleetTimetableTest, HasTheReserveOfBoardsWithAGauge) {
  Boards boards;
  boards.Add("mains", 1);
  boards.Add("mast", 1, /*battery_wh=*/50);
  v1::Policy policy;
  policy.set_name("mast");
  policy.set_reserve_state_of_charge_ratio(0.3);
  boards.Do(ApplyPolicy{policy});
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(timetable, IsOk());
  EXPECT_EQ(timetable->devices(0).reserve_state_of_charge_ratio(), 0);
  EXPECT_EQ(timetable->devices(1).reserve_state_of_charge_ratio(), 0.3);
  EXPECT_EQ(timetable->devices(1).power_group(), "");
  // One gauge is enough for a shared pack.
  policy.mutable_power_group()->set_name("hut");
  policy.mutable_power_group()->set_shared_pack(true);
  boards.Do(ApplyPolicy{policy});
  boards.TellHarvest("mast", 20);
  boards.Snapshot();  // The boards have just sent heartbeats.
  const auto shared =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(shared, IsOk());
  for (const v1::DeviceTimetable& device : shared->devices()) {
    EXPECT_EQ(device.power_group(), "hut");
    EXPECT_EQ(device.reserve_state_of_charge_ratio(), 0.3);
  }
  // One board's idle draw is unknown, so the future charge is too.
  EXPECT_THAT(shared->devices(0).charge(), SizeIs(0));
  boards.observations.devices[DeviceId("mains")].heartbeat.set_idle_power_watts(2);
  const auto known =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(known, IsOk());
  ASSERT_THAT(known->devices(0).charge(), Not(SizeIs(0)));
  EXPECT_NEAR(known->devices(0).charge(0).median_ratio(), 0.5, 1e-6);
  EXPECT_EQ(known->devices(0).charge(5).median_ratio(), known->devices(1).charge(5).median_ratio());
}

TEST(FleetTimetableTest, RefusesAHorizonOutOfBounds) {
  const Boards boards;
  for (const double seconds : {1.0, 3599.0, 259201.0, -1.0}) {
    v1::TimetableRequest request;
    request.set_horizon_seconds(seconds);
    EXPECT_THAT(FleetTimetable(boards.state, boards.observations, {}, request, boards.Now()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 h to 72 h")));
  }
}

}  // namespace
}  // namespace wattle::core
