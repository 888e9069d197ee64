// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of plans for boards that get hot.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

// A job of an hour on a board of 10 W that stays cool.
JobView HotJob(const std::string& id, int64_t examples = 1000) {
  return RealJob(id, examples);
}

struct HotBoards {
  ProfileTable profiles;
  Snapshot snapshot = MakeSnapshot({}, profiles);

  HotBoards() { snapshot.devices.reserve(8); }

  // A board that ran the job often. The reference stays valid for eight boards.
  v1::Device& Add(const std::string& name, double seconds, double watts, double celsius_max = 50) {
    DeviceView view = MakeDevice("class-" + name, name);
    v1::DeviceInfo& info = *view.device.mutable_info();
    info.set_emulated(false);
    info.set_link_bytes_per_second(1e9);
    info.set_idle_power_watts(3);
    view.device.mutable_heartbeat()->add_cached_artifact_ids("m");
    view.device.mutable_heartbeat()->add_cached_artifact_ids("d");
    view.device.mutable_heartbeat()->set_idle_power_watts(3);
    const JobView job = HotJob("j0");
    const auto work = WorkOf(job.spec, job.inputs, profiles);
    EXPECT_THAT(work, IsOk());
    for (int i = 0; i < 20; ++i) {
      v1::Receipt receipt = MeasuredReceipt(*work, seconds, watts);
      receipt.mutable_run()->set_temperature_celsius_max(celsius_max);
      for (const v1::ProfileRow& row : LearnFromReceipt(profiles, info, receipt, kTestNow)) {
        EXPECT_THAT(profiles.Put(row), IsOk());
      }
    }
    snapshot.devices.push_back(std::move(view));
    return snapshot.devices.back().device;
  }
  [[nodiscard]] v1::PlanResponse Plan(const JobView& job) const {
    auto plan = PlanJob(snapshot, job);
    EXPECT_THAT(plan, IsOk());
    return *std::move(plan);
  }
};

// 25 °C of air, now at rest; 7 K/W in 900 s. 7.9 W hold the limit of 82.5 °C.
void SetHeat(v1::Device& device, double throttle_celsius = 82.5) {
  v1::Heartbeat& heartbeat = *device.mutable_heartbeat();
  v1::HeatModel& heat = *heartbeat.mutable_heat_model();
  heat.set_ambient_celsius(25);
  heat.set_throttle_celsius(throttle_celsius);
  v1::HeatStage& stage = *heat.add_stages();
  stage.set_kelvin_per_watt(7);
  stage.set_time_constant_seconds(900);
  heartbeat.set_has_temperature(true);
  heartbeat.set_temperature_celsius(46);
}

const v1::Prediction& On(const v1::PlanResponse& plan, const std::string& name) {
  return FindCandidate(plan, name)->prediction();
}

TEST(HeatPlaceTest, AModelWithoutALimitChangesNoByteOfAPlan) {
  HotBoards boards;
  v1::Device& fast = boards.Add("fast", 3600, 12);
  boards.Add("slow", 5000, 6);
  v1::PlanResponse before = boards.Plan(HotJob("j1"));
  SetHeat(fast, /*throttle_celsius=*/0);
  EXPECT_EQ(boards.Plan(HotJob("j1")).SerializeAsString(), before.SerializeAsString());
  SetHeat(fast, /*throttle_celsius=*/200);
  EXPECT_EQ(boards.Plan(HotJob("j1")).SerializeAsString(), before.SerializeAsString());
}

TEST(HeatPlaceTest, AHotBoardIsNotTakenWhereItWouldMissTheDeadline) {
  HotBoards boards;
  v1::Device& fast = boards.Add("fast", 3600, 10);
  boards.Add("slow", 4200, 11);
  JobView job = HotJob("j1");
  job.spec.set_deadline_seconds(4800);
  EXPECT_EQ(boards.Plan(job).chosen_device_id(), "id-fast");
  SetHeat(fast);
  const v1::PlanResponse plan = boards.Plan(job);
  EXPECT_EQ(plan.chosen_device_id(), "id-slow");
  EXPECT_EQ(FindCandidate(plan, "fast")->refused_by(), "deadline");
  EXPECT_GT(On(plan, "fast").heat_stretch_ratio(), 1.2);
  EXPECT_THAT(On(plan, "fast").provenance_note(),
              HasSubstr("times as long: the board holds 82 °C at 7.86 W and would draw 10.00 W"));
  // Without another board, the refusal is shown.
  boards.snapshot.devices.pop_back();
  EXPECT_EQ(boards.Plan(job).chosen_device_id(), "");
}

TEST(HeatPlaceTest, RowsOfThrottledRunsHaveTheHeatInThem) {
  HotBoards boards;
  SetHeat(boards.Add("fast", 3600, 10, /*celsius_max=*/82));
  EXPECT_EQ(On(boards.Plan(HotJob("j1")), "fast").heat_stretch_ratio(), 0);
}

// One hot run among many cool ones changes the row's mean little.
TEST(HeatPlaceTest, OneHotRunAmongManyDoesNotSpeakForTheRow) {
  HotBoards boards;
  v1::Device& fast = boards.Add("fast", 3600, 10);
  SetHeat(fast);
  const JobView job = HotJob("j0");
  const auto work = WorkOf(job.spec, job.inputs, boards.profiles);
  ASSERT_THAT(work, IsOk());
  v1::Receipt receipt = MeasuredReceipt(*work, 3600, 10);
  receipt.mutable_run()->set_temperature_celsius_max(82);
  for (const v1::ProfileRow& row :
       LearnFromReceipt(boards.profiles, fast.info(), receipt, kTestNow)) {
    ASSERT_THAT(boards.profiles.Put(row), IsOk());
  }
  EXPECT_GT(On(boards.Plan(HotJob("j1")), "fast").heat_stretch_ratio(), 1.2);
}

TEST(HeatPlaceTest, TheLimitOfAPolicyMakesRunsLonger) {
  HotBoards boards;
  SetHeat(boards.Add("fast", 3600, 10), /*throttle_celsius=*/0);
  EXPECT_EQ(On(boards.Plan(HotJob("j1")), "fast").heat_stretch_ratio(), 0);
  v1::Policy policy;
  policy.set_name("cool");
  policy.set_max_temperature_celsius(70);
  boards.snapshot.policies = {policy};
  const v1::Prediction run = On(boards.Plan(HotJob("j1")), "fast");
  EXPECT_GT(run.heat_stretch_ratio(), 1.5);
  EXPECT_THAT(run.provenance_note(), HasSubstr("the board holds 70 °C at 6.07 W"));
  EXPECT_THAT(boards.Plan(HotJob("j1")).reason(),
              HasSubstr("; its heat makes the run 2.1 times as long"));
}

TEST(HeatPlaceTest, ARunBehindAnotherStartsWarm) {
  HotBoards boards;
  SetHeat(boards.Add("fast", 3600, 10));
  boards.snapshot.queue = {HotJob("j1", 400), HotJob("j2", 400)};
  const std::vector<QueuePlacement> plan = PlanQueue(boards.snapshot);
  ASSERT_EQ(plan.size(), 2U);
  const v1::Prediction& first = plan[0].placement.best(0).prediction();
  const v1::Prediction& second = plan[1].placement.best(0).prediction();
  EXPECT_LT(first.heat_stretch_ratio(), 1.2);
  EXPECT_GT(second.heat_stretch_ratio(), 1.3);
  // Behind an attempt that runs already, and behind one that drew little.
  boards.snapshot.queue.resize(1);
  DeviceView& view = boards.snapshot.devices[0];
  view.free_at = kTestNow + absl::Hours(1);
  view.running_power = Watts(10);
  EXPECT_NEAR(PlanQueue(boards.snapshot)[0].placement.best(0).prediction().heat_stretch_ratio(),
              second.heat_stretch_ratio(), 0.05);
  view.running_power = Watts(4);
  EXPECT_LT(PlanQueue(boards.snapshot)[0].placement.best(0).prediction().heat_stretch_ratio(), 1.2);
}

TEST(HeatPlaceTest, TheReserveSeesTheJoulesOfTheLongerRun) {
  HotBoards boards;
  v1::Device& fast = boards.Add("fast", 3600, 10);
  fast.mutable_info()->set_battery_capacity_wh(100);
  fast.mutable_heartbeat()->set_has_battery(true);
  fast.mutable_heartbeat()->set_state_of_charge_ratio(0.443);
  v1::Policy policy;
  policy.set_name("reserve");
  policy.set_reserve_state_of_charge_ratio(0.3);
  boards.snapshot.policies = {policy};
  const v1::PlanResponse cool = boards.Plan(HotJob("j1"));
  ASSERT_EQ(cool.chosen_device_id(), "id-fast") << cool.reason();
  SetHeat(fast);
  EXPECT_GT(On(boards.Plan(HotJob("j1")), "fast").run_energy_joules().mean(),
            On(cool, "fast").run_energy_joules().mean() + 3 * 600);
  EXPECT_EQ(boards.Plan(HotJob("j1")).chosen_device_id(), "");
}

// The mean of a hot run is below what it draws at first.
TEST(HeatPlaceTest, ACapOfASupplyCountsTheFullSpeed) {
  HotBoards boards;
  SetHeat(boards.Add("fast", 3600, 10));
  v1::Policy policy;
  policy.set_name("north");
  policy.mutable_power_group()->set_name("mast");
  policy.mutable_power_group()->set_power_cap_watts(9.5);
  boards.snapshot.policies = {policy};
  EXPECT_LT(On(boards.Plan(HotJob("j1")), "fast").mean_power_watts(), 9.4);
  EXPECT_EQ(FindCandidate(boards.Plan(HotJob("j1")), "fast")->refused_by(), "power_cap");
  // Two boards: each begins with 7 W above idle, and continues with about 5 W.
  SetHeat(boards.Add("other", 3600, 10));
  boards.snapshot.queue = {HotJob("j1"), HotJob("j2")};
  const auto starts_under = [&boards](double cap_watts) {
    boards.snapshot.policies[0].mutable_power_group()->set_power_cap_watts(cap_watts);
    int starts = 0;
    for (const QueuePlacement& placed : PlanQueue(boards.snapshot)) {
      starts += !placed.placement.device_id().empty() && !placed.placement.wait() ? 1 : 0;
    }
    return starts;
  };
  EXPECT_EQ(starts_under(19), 1);
  EXPECT_EQ(starts_under(20.1), 2);
}

}  // namespace
}  // namespace wattle::scheduler
