// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/schedule.h"

#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/plan_cost.h"
#include "scheduler/timetable/testing/drawn_instance_for_test.h"

namespace wattle::timetable {
namespace {

TEST(ScheduleTest, EveryStateKeepsAllRulesAndKnowsItsCost) {
  int ran = 0;
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Instance instance = DrawInstance(seed, 3, 12, 600);
    std::mt19937 dice(seed);
    Schedule schedule(instance);
    for (int step = 0; step < 60; ++step) {
      const size_t job = dice() % instance.jobs.size();
      if (schedule.planned(job).device == Planned::kLeftOut) {
        schedule.Insert(job);
      } else {
        schedule.Remove(job);
      }
      ASSERT_EQ(CheckPlan(instance, schedule.plan()), std::nullopt);
      ASSERT_EQ(schedule.cost(), CostOf(instance, schedule.plan()));
    }
    for (const Planned& planned : schedule.plan()) {
      ran += planned.device == Planned::kLeftOut ? 0 : 1;
      EXPECT_EQ(planned.start % 600, 0);
    }
  }
  EXPECT_GT(ran, 300);
}

TEST(ScheduleTest, ARemovedJobLeavesNothingBehind) {
  const Instance instance = DrawInstance(7, 3, 10, 600);
  std::vector<size_t> order(instance.jobs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Schedule schedule = InsertInOrder(instance, order);
  const Millijoules before = schedule.cost();
  for (const size_t job : order) {
    schedule.Remove(job);
  }
  EXPECT_EQ(schedule.cost(), Schedule(instance).cost());
  for (const size_t job : order) {
    schedule.Insert(job);
  }
  EXPECT_EQ(schedule.cost(), before);
}

TEST(ScheduleTest, AJobThatCostsMoreThanItsPriceIsLeftOut) {
  Instance instance = DrawInstance(3, 2, 1, 600);
  instance.jobs[0].left_out_price = 1;
  Schedule schedule(instance);
  schedule.Insert(0);
  EXPECT_EQ(schedule.planned(0).device, Planned::kLeftOut);
  EXPECT_EQ(schedule.cost(), 1);
}

TEST(ScheduleTest, AJobThatCannotStartInTimeIsLeftOut) {
  Instance instance = DrawInstance(3, 1, 1, 1);
  InstanceJob& job = instance.jobs[0];
  const Seconds free_at = job.released + 600;
  instance.devices = {{.closed = {{.begin = 0, .end = free_at}}}};
  job.deadline.reset();
  job.left_out_price = 1'000 * job.options[0].cost;
  job.latest_start = free_at;
  Schedule in_time(instance);
  in_time.Insert(0);
  EXPECT_EQ(in_time.planned(0).start, free_at);
  job.latest_start = free_at - 1;
  Schedule late(instance);
  late.Insert(0);
  EXPECT_EQ(late.planned(0).device, Planned::kLeftOut);
}

// The pack holds 10 Wh, of which a settled run draws 6 Wh; the job takes 5 Wh.
TEST(ScheduleTest, OtherRunsMayDrawFromAPackAlready) {
  constexpr Millijoules kMillijoulesOfWattHour = 3'600'000;
  Instance instance;
  instance.packs = {{.capacity = 10 * kMillijoulesOfWattHour,
                     .charge = 10 * kMillijoulesOfWattHour,
                     .harvest = {std::vector<Milliwatts>(8, 0)}}};
  instance.devices = {{.pack = 0}};
  instance.end = 8 * kHour;
  instance.jobs = {
      {.options = {{.draw = {.length = kHour, .power = 5'000}, .cost = 1}}, .left_out_price = 100}};
  Schedule alone(instance);
  alone.Insert(0);
  EXPECT_EQ(alone.planned(0).device, 0);
  instance.settled = {{.pack = 0, .draw = {.length = kHour, .power = 6'000}}};
  Schedule beside(instance);
  beside.Insert(0);
  EXPECT_EQ(beside.planned(0).device, Planned::kLeftOut);
}

TEST(PlanCostTest, CountsJoulesWaitingAndWhatIsLeftOutOrLate) {
  Instance instance;
  instance.devices.resize(1);
  InstanceJob job;
  job.released = 1800;
  job.options = {{.device = 0,
                  .mode = 1,
                  .draw = {.length = 600},
                  .cost = 7'200'000,
                  .cost_per_hour = 72'000}};
  job.left_out_price = 50'000'000;
  instance.jobs = {job, job, job};
  const std::vector<Planned> plan = {
      {.job = 0, .device = 0, .mode = 1, .start = 1800 + 5400, .in_time = true},
      {.job = 1},
      {.job = 2, .device = 0, .mode = 1, .start = 9000, .in_time = false}};
  // One and a half hours of waiting are 1.5 % of the joules.
  EXPECT_EQ(CostOf(instance, plan), 7'200'000 + 108'000 + 2 * 50'000'000);
}

}  // namespace
}  // namespace wattle::timetable
