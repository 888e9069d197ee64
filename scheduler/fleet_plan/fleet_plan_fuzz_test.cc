// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Drawn fleets: no rule is broken, every job has a place or a reason, and on fleets whose pools are
// small the plan costs what a schedule that asks every device for every job costs.
#include <algorithm>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

#include "scheduler/fleet_plan/check_fleet_plan.h"
#include "scheduler/fleet_plan/fleet_planner.h"
#include "scheduler/fleet_plan/testing/drawn_fleet_for_test.h"
#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/plan_cost.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::fleet_plan {
namespace {

constexpr uint64_t kSeeds = 300;

DrawnFleetShape SmallShape(uint64_t seed) {
  return {.devices = 1 + static_cast<int>(seed % 8), .jobs = 24};
}

// The planner and a schedule may take different ways of equal cost, so the schedule follows the
// planner, and each job is compared by itself. The planner also tries the begin of a gap, which a
// schedule rounds up to the next quarter of an hour, so the planner may be cheaper by that.
TEST(FleetPlanFuzzTest, KeepsAllRulesAndPlacesEachJobAsCheaplyAsAScheduleDoes) {
  int cheaper = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Fleet fleet = FleetDrawer(seed, SmallShape(seed)).Draw();
    const timetable::Instance instance = InstanceOf(fleet);
    timetable::Schedule schedule(instance);
    FleetPlanner planner(fleet);
    for (const size_t job : PlanningOrder(fleet)) {
      schedule.Insert(job);
      planner.Place(job);
      ASSERT_LE(planner.cost(), schedule.cost()) << "job " << job;
      cheaper += planner.cost() < schedule.cost() ? 1 : 0;
      schedule.Remove(job);
      for (const timetable::JobOption& option : instance.jobs[job].options) {
        if (planner.place(job) && option.device == planner.place(job)->device &&
            option.mode == NumberOf(planner.place(job)->form)) {
          schedule.Put(job, option, planner.place(job)->start);
        }
      }
    }
    const std::vector<timetable::Planned> planned = PlannedOf(fleet, planner.plan());
    ASSERT_EQ(timetable::CheckPlan(instance, planned), std::nullopt);
    ASSERT_EQ(planner.cost(), timetable::CostOf(instance, planned));
    ASSERT_EQ(CheckFleetPlan(fleet, planner.plan()), std::nullopt);
  }
  EXPECT_LT(cheaper, 24 * kSeeds / 100);
}

TEST(FleetPlanFuzzTest, EveryJobHasAPlaceOrATimeOrNeverRuns) {
  int never = 0;
  int not_now = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Fleet fleet = FleetDrawer(seed, SmallShape(seed)).Draw();
    const FleetPlanner planner = PlanInOrder(fleet, PlanningOrder(fleet));
    for (size_t job = 0; job < fleet.jobs.size(); ++job) {
      if (planner.place(job)) {
        continue;
      }
      const Verdict verdict = WhyNoPlace(fleet, fleet.jobs[job]);
      ASSERT_NE(verdict.answer, Answer::kOk);
      ASSERT_FALSE(Explain(verdict).empty());
      if (verdict.answer == Answer::kNotNow) {
        ++not_now;
        ASSERT_GT(verdict.until, fleet.now);
        continue;
      }
      ++never;
      // The job has no place although nothing else is planned.
      const timetable::Instance instance = InstanceOf(fleet);
      timetable::Schedule schedule(instance);
      schedule.Insert(job);
      ASSERT_EQ(schedule.planned(job).device, timetable::Planned::kLeftOut) << "job " << job;
    }
  }
  EXPECT_GT(never, 100);
  EXPECT_GT(not_now, 100);
}

TEST(FleetPlanFuzzTest, LargePoolsBreakNoRule) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Fleet fleet = FleetDrawer(seed, {.devices = 80, .jobs = 500}).Draw();
    const FleetPlanner planner = PlanInOrder(fleet, PlanningOrder(fleet));
    ASSERT_EQ(CheckFleetPlan(fleet, planner.plan()), std::nullopt);
    const FleetPlanner again = PlanInOrder(fleet, PlanningOrder(fleet));
    ASSERT_EQ(planner.cost(), again.cost());
  }
}

// A plan after changes must be valid for the changed fleet.
TEST(FleetPlanFuzzTest, ChangedBoardsBreakNoRule) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    FleetDrawer drawer(seed, {.devices = 12, .jobs = 60});
    Fleet fleet = drawer.Draw();
    FleetPlanner planner = PlanInOrder(fleet, PlanningOrder(fleet));
    for (int change = 0; change < 6; ++change) {
      const auto device = static_cast<size_t>(drawer.Below(12));
      Device& on = fleet.devices[device];
      on.closed = {{fleet.now, fleet.now + 1 + drawer.Below(5 * timetable::kHour)}};
      if (on.pack != timetable::kMains) {
        timetable::PackSpec& pack = fleet.packs[static_cast<size_t>(on.pack)];
        pack.charge = drawer.Below(pack.capacity);
      }
      std::vector<size_t> lost = planner.ChangeDevice(device);
      std::sort(lost.begin(), lost.end());
      for (const size_t job : lost) {
        planner.Place(job);
      }
      ASSERT_EQ(CheckFleetPlan(fleet, planner.plan()), std::nullopt) << "change " << change;
    }
  }
}

}  // namespace
}  // namespace wattle::fleet_plan
