// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/fleet_planner.h"

#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/fleet_plan/check_fleet_plan.h"
#include "scheduler/fleet_plan/testing/drawn_fleet_for_test.h"

namespace wattle::fleet_plan {
namespace {

using timetable::kHour;
using timetable::kMains;

constexpr Millijoules kWattHour = 3'600'000;

Rate RateOf(Seconds seconds, Millijoules millijoules) {
  return {.form = {.mode = 0, .quantization = 0, .batch = 8},
          .peak_memory_bytes = 0,
          .of_a_run = {},
          .of_1000_units = {.seconds = {seconds, seconds, seconds},
                            .millijoules = {millijoules, millijoules, millijoules}}};
}

// Two frugal boards (1 h, 5 Wh) and a wasteful one (1 h, 20 Wh); jobs of 1,000 units.
Fleet ThreeBoards(int jobs) {
  Fleet fleet;
  fleet.now = 1000 * kHour;
  fleet.end = fleet.now + 24 * kHour;
  fleet.device_classes.resize(2);
  fleet.work_classes = {{.artifact = 0, .artifact_bytes = 3'600'000'000, .wanted_labels = 0}};
  fleet.rates = {{RateOf(kHour, 5 * kWattHour)}, {RateOf(kHour, 20 * kWattHour)}};
  for (const int device_class : {0, 0, 1}) {
    Device& device = fleet.devices.emplace_back();
    device.device_class = device_class;
    device.link_bytes_per_second = 1'000'000;
    device.cached = {0};
  }
  for (int job = 0; job < jobs; ++job) {
    fleet.jobs.push_back({.units = 1000, .released = fleet.now, .left_out_price = 100 * kWattHour});
  }
  return fleet;
}

FleetPlanner PlanAll(const Fleet& fleet) {
  return PlanInOrder(fleet, PlanningOrder(fleet));
}

TEST(FleetPlannerTest, EachJobTakesItsCheapestWayBehindTheJobsBefore) {
  const Fleet fleet = ThreeBoards(3);
  const FleetPlanner planner = PlanAll(fleet);
  EXPECT_EQ(planner.place(0)->device, 0);
  EXPECT_EQ(planner.place(1)->device, 1);
  EXPECT_EQ(planner.place(2)->device, 0);
  EXPECT_EQ(planner.place(2)->start, fleet.now + kHour);
  EXPECT_EQ(planner.cost(), 15 * kWattHour + 5 * kWattHour / 100);
}

TEST(FleetPlannerTest, ADeadlineGoesFirstAndTakesTheWastefulBoardIfItMust) {
  Fleet fleet = ThreeBoards(5);
  for (const size_t job : {2, 3, 4}) {
    fleet.jobs[job].deadline = fleet.now + kHour;
  }
  const FleetPlanner planner = PlanAll(fleet);
  for (const size_t job : {2, 3, 4}) {
    EXPECT_EQ(planner.place(job)->start, fleet.now);
  }
  EXPECT_EQ(planner.place(4)->device, 2);
}

TEST(FleetPlannerTest, ABoardsOwnRowCountsInsteadOfItsClasss) {
  Fleet fleet = ThreeBoards(1);
  fleet.devices[0].own = {{.work_class = 0, .rate = RateOf(kHour, 40 * kWattHour)}};
  EXPECT_EQ(PlanAll(fleet).place(0)->device, 1);
  fleet.devices[2].own = {{.work_class = 0, .rate = RateOf(kHour, 1 * kWattHour)}};
  EXPECT_EQ(PlanAll(fleet).place(0)->device, 2);
}

TEST(FleetPlannerTest, ABoardThatHasTheModelIsTakenBeforeOneThatFetchesIt) {
  Fleet fleet = ThreeBoards(1);
  fleet.devices[0].cached = {};
  EXPECT_EQ(PlanAll(fleet).place(0)->device, 1);
  // Many boards of the class are free, and only the last one has the model.
  fleet.devices.assign(40, fleet.devices[0]);
  fleet.devices.back().cached = {0};
  EXPECT_EQ(PlanAll(fleet).place(0)->device, 39);
}

TEST(FleetPlannerTest, AJobWaitsForTheSunAndALaterOneKeepsItsCharge) {
  Fleet fleet = ThreeBoards(2);
  fleet.devices.resize(1);
  fleet.devices[0].pack = 0;
  std::vector<Milliwatts> sun(24, 0);
  sun[6] = sun[7] = 6000;
  fleet.packs = {{.now = fleet.now,
                  .capacity = 8 * kWattHour,
                  .charge = 2 * kWattHour,
                  .idle = 0,
                  .floor = {{.from = 0, .charge = 2 * kWattHour}},
                  .first_hour = fleet.now,
                  .harvest = {sun},
                  .broken_paths_max = 0}};
  const FleetPlanner planner = PlanAll(fleet);
  EXPECT_EQ(planner.place(0)->start, fleet.now + 6 * kHour);
  EXPECT_EQ(planner.place(1)->start, fleet.now + 7 * kHour);
  EXPECT_EQ(CheckFleetPlan(fleet, planner.plan()), std::nullopt);
}

TEST(FleetPlannerTest, TakingAJobOutGivesItsPlaceBack) {
  const Fleet fleet = ThreeBoards(3);
  FleetPlanner planner = PlanAll(fleet);
  const Millijoules cost = planner.cost();
  planner.TakeOut(0);
  EXPECT_EQ(planner.place(0), std::nullopt);
  planner.Place(0);
  EXPECT_EQ(planner.place(0)->device, 0);
  EXPECT_EQ(planner.place(0)->start, fleet.now);
  EXPECT_EQ(planner.cost(), cost);
}

TEST(FleetPlannerTest, AChangedBoardLosesItsJobsAndIsReadAnew) {
  Fleet fleet = ThreeBoards(3);
  FleetPlanner planner = PlanAll(fleet);
  fleet.devices[0].closed = {{fleet.now, fleet.end}};
  EXPECT_THAT(planner.ChangeDevice(0), testing::UnorderedElementsAre(0, 2));
  planner.Place(0);
  planner.Place(2);
  EXPECT_EQ(planner.place(0)->device, 1);
  EXPECT_EQ(planner.place(0)->start, fleet.now + kHour);
  EXPECT_EQ(CheckFleetPlan(fleet, planner.plan()), std::nullopt);
}

TEST(FleetPlannerTest, AJobThatComesLaterIsShorterThanAllAndFillsAGap) {
  Fleet fleet = ThreeBoards(1);
  fleet.devices.resize(1);
  fleet.devices[0].closed = {{fleet.now + 600, fleet.now + 2 * kHour}};
  FleetPlanner planner = PlanAll(fleet);
  EXPECT_EQ(planner.place(0)->start, fleet.now + 2 * kHour);
  fleet.jobs.push_back({.units = 100, .released = fleet.now, .left_out_price = kWattHour});
  planner.Place(1);
  EXPECT_EQ(planner.place(1)->start, fleet.now);
}

}  // namespace
}  // namespace wattle::fleet_plan
