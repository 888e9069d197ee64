// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of runs that rest at the reserve of their board.
#include "scheduler/place/sun/reserve_pauses.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/testing/event_loop_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/predict/predict.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

v1::Policy ThirtyPercent() {
  v1::Policy policy;
  policy.set_name("north");
  policy.set_reserve_state_of_charge_ratio(0.3);
  return policy;
}

// A board with a pack of 50 Wh and its reserve at 15 Wh, which draws 10 W while it works.
EventLoop Board(double charge_wh, double sun_wh, v1::Policy policy = ThirtyPercent()) {
  EventLoop loop;
  loop.SetPolicies({std::move(policy)});
  loop.Add(OrinNano(), {.capacity_wh = 50,
                        .charge_wh = charge_wh,
                        .idle_watts = 1.5,
                        .watts_by_hour = DaySun(sun_wh)});
  return loop;
}

TEST(RestsTest, ARunThatNoFullPackHoldsBeginsAtOnceAndRestsOverTheNight) {
  EventLoop loop = Board(/*charge_wh=*/40, /*sun_wh=*/80);
  loop.Arrive(0, JobOf("j1", absl::Hours(15)));  // 150 Wh.
  auto outcomes = loop.Run();
  ASSERT_THAT(outcomes["j1"].starts, SizeIs(1));
  EXPECT_EQ(outcomes["j1"].starts[0].second, 0);
  EXPECT_GT(outcomes["j1"].ended, 24);
  EXPECT_LT(outcomes["j1"].ended, 48);
  EXPECT_GE(loop.LeastWorkingWh(0), 15);
}

TEST(RestsTest, ThePlanSaysForHowLong) {
  EventLoop loop = Board(/*charge_wh=*/40, /*sun_wh=*/80);
  loop.Arrive(0, JobOf("j1", absl::Hours(15)));
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(1));
  const v1::Candidate& chosen = plan[0].placement.best(0);
  EXPECT_EQ(chosen.start_in_seconds(), 0);
  EXPECT_GT(chosen.prediction().rest_seconds(), 10 * 3600);
  EXPECT_LT(chosen.prediction().rest_seconds(), 30 * 3600);
  EXPECT_NEAR(chosen.finish_in_seconds(),
              TotalSeconds(chosen.prediction(), chosen.prediction().run_seconds().mean() +
                                                    chosen.prediction().rest_seconds()),
              1);
  EXPECT_THAT(plan[0].placement.reason(), HasSubstr("; rests at its reserve for about "));
}

TEST(RestsTest, ARunThatTheChargeBearsDoesNotRest) {
  EventLoop loop = Board(/*charge_wh=*/45, /*sun_wh=*/80);
  loop.Arrive(0, JobOf("j1", absl::Hours(2)));
  EXPECT_EQ(loop.FirstPlan()[0].placement.best(0).prediction().rest_seconds(), 0);
}

TEST(RestsTest, AMeasurementDoesNotRest) {
  EventLoop loop = Board(/*charge_wh=*/40, /*sun_wh=*/80);
  JobView job = JobOf("j1", absl::Hours(15));
  job.profile_point.emplace();
  loop.Arrive(0, job);
  EXPECT_EQ(loop.FirstPlan()[0].placement.device_id(), "");
}

TEST(RestsTest, WithoutAReserveNoGuardStopsTheRunSoThatItWaits) {
  EventLoop loop = Board(/*charge_wh=*/20, /*sun_wh=*/80, v1::Policy());
  loop.Arrive(12, JobOf("j1", absl::Hours(4)));
  auto outcomes = loop.Run();
  ASSERT_THAT(outcomes["j1"].starts, SizeIs(1));
  EXPECT_GT(outcomes["j1"].starts[0].second, 20);
}

TEST(RestsTest, UnderAWindowTheRunWaits) {
  v1::Policy policy = ThirtyPercent();
  policy.add_work_windows("00:00-24:00");
  EventLoop loop = Board(/*charge_wh=*/30, /*sun_wh=*/120, policy);
  loop.Arrive(0, JobOf("j1", absl::Hours(6)));
  EXPECT_EQ(loop.FirstPlan()[0].placement.best(0).prediction().rest_seconds(), 0);
}

// Half a watt-hour above the reserve, the first 20 minutes of a dark day bring too little.
TEST(RestsTest, AtTheReserveItDoesNotBegin) {
  EventLoop loop = Board(/*charge_wh=*/15.5, /*sun_wh=*/80);
  loop.Arrive(0, JobOf("j1", absl::Hours(6)));
  auto outcomes = loop.Run();
  ASSERT_THAT(outcomes["j1"].starts, SizeIs(1));
  EXPECT_GE(outcomes["j1"].starts[0].second, 0.25);
  EXPECT_LT(outcomes["j1"].starts[0].second, 8);
}

// 12 h of work in the light of a day take until the second day; the deadline is in the first night.
TEST(RestsTest, ADeadlineInTheNightRefusesARunThatWouldRestThen) {
  EventLoop loop = Board(/*charge_wh=*/20, /*sun_wh=*/60);
  JobView job = JobOf("j1", absl::Hours(12));
  job.spec.set_deadline_seconds(18 * 3600);
  loop.Arrive(0, job);
  EXPECT_EQ(loop.FirstPlan()[0].placement.device_id(), "");
}

// On the darkest day of ten this run would rest forever, so its upper end is unknown. A fuller
// battery would suffice for the whole run, in time for its deadline: the job waits and has not
// failed.
TEST(RestsTest, RestsWithoutAKnownEndFailNoJobThatHasADeadline) {
  EventLoop loop = Board(/*charge_wh=*/38, /*sun_wh=*/35);
  JobView job = JobOf("j1", absl::Hours(3));
  job.spec.set_deadline_seconds(60 * 3600);
  loop.Arrive(0, job);
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_EQ(plan[0].placement.device_id(), "");
  EXPECT_FALSE(plan[0].never) << plan[0].placement.reason();
}

// A dry run has waited for nothing, and its deadline counts from now.
TEST(RestsTest, ADryRunWithADeadlineRestsAsAJobDoes) {
  JobView job = JobOf("j1", absl::Hours(6));
  job.spec.set_deadline_seconds(48 * 3600);
  EXPECT_EQ(LatestEndOf(job, job.submitted + absl::Hours(1)),
            absl::ToUnixSeconds(job.submitted + absl::Hours(48)));
  const absl::Time now = job.submitted;
  job.submitted = absl::InfinitePast();
  EXPECT_EQ(LatestEndOf(job, now), absl::ToUnixSeconds(now + absl::Hours(48)));
}

// The second run's place is behind the first one's rests.
TEST(RestsTest, TheNextRunWaitsForTheEndOfTheRests) {
  EventLoop loop = Board(/*charge_wh=*/40, /*sun_wh=*/80);
  loop.Arrive(0, JobOf("j1", absl::Hours(12)));
  loop.Arrive(0, JobOf("j2", absl::Hours(1)));
  auto outcomes = loop.Run();
  ASSERT_THAT(outcomes["j2"].starts, SizeIs(1));
  ASSERT_THAT(outcomes["j1"].starts, SizeIs(1));
  const bool first = outcomes["j1"].starts[0].second < outcomes["j2"].starts[0].second;
  EXPECT_GE(outcomes[first ? "j2" : "j1"].starts[0].second, outcomes[first ? "j1" : "j2"].ended);
  EXPECT_GE(loop.LeastWorkingWh(0), 15);
}

}  // namespace
}  // namespace wattle::scheduler
