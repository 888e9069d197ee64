// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that a prediction too wide to be planned on starts a job as a probe, where its lower end
// may do, and that nothing else does.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "scheduler/place/fleet_for_test.h"
#include "scheduler/place/place.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Of a class without any row: the datasheet alone speaks.
DeviceView Unknown(const std::string& name) {
  return MakeDevice("board-" + name, name);
}

class ProbeStartTest : public testing::Test {
 protected:
  v1::PlanResponse Plan(std::vector<DeviceView> devices, double deadline_seconds) {
    JobView job = RealJob("j1", 10000);
    job.spec.set_deadline_seconds(deadline_seconds);
    const auto plan = PlanJob(MakeSnapshot(std::move(devices), table_), job);
    EXPECT_THAT(plan, IsOk());
    return *plan;
  }
  v1::Interval SecondsOn(const DeviceView& device) {
    return Plan({device}, 0).candidates(0).prediction().run_seconds();
  }

  ProfileTable table_ = ProfileTable::Priors();
};

TEST_F(ProbeStartTest, TheLowerEndMayMeetTheDeadline) {
  const v1::Interval seconds = SecondsOn(Unknown("a"));
  ASSERT_GT(seconds.high() / seconds.low(), 3);
  const v1::PlanResponse plan = Plan({Unknown("a")}, seconds.mean());
  EXPECT_TRUE(plan.candidates(0).feasible());
  EXPECT_TRUE(plan.candidates(0).probe());
  EXPECT_THAT(plan.reason(), HasSubstr("probe: 30 s tell how long it takes, by now"));
}

TEST_F(ProbeStartTest, WhoseUpperEndMeetsTheDeadlineIsNoProbe) {
  const v1::PlanResponse plan = Plan({Unknown("a")}, 2 * SecondsOn(Unknown("a")).high());
  EXPECT_TRUE(plan.candidates(0).feasible());
  EXPECT_FALSE(plan.candidates(0).probe());
  EXPECT_THAT(plan.reason(), Not(HasSubstr("probe")));
}

TEST_F(ProbeStartTest, WhoseLowerEndMissesTheDeadlineIsRefusedForGood) {
  const v1::PlanResponse plan = Plan({Unknown("a")}, SecondsOn(Unknown("a")).low() / 2);
  EXPECT_FALSE(plan.candidates(0).feasible());
  EXPECT_TRUE(plan.candidates(0).permanent());
  EXPECT_FALSE(plan.candidates(0).probe());
  EXPECT_THAT(plan.candidates(0).reason(), HasSubstr("ends at the earliest in"));
}

TEST_F(ProbeStartTest, ANarrowPredictionIsPlannedOnItsUpperEnd) {
  const v1::Interval seconds = SecondsOn(OrinNano());
  ASSERT_LT(seconds.high() / seconds.low(), 3);
  const v1::PlanResponse plan = Plan({OrinNano()}, seconds.mean());
  EXPECT_FALSE(plan.candidates(0).feasible());
  EXPECT_TRUE(plan.candidates(0).permanent());
  EXPECT_THAT(plan.candidates(0).reason(), HasSubstr("may end in"));
}

TEST_F(ProbeStartTest, ABoardThatIsSureToMeetTheDeadlineComesFirst) {
  const double deadline = 1.5 * SecondsOn(OrinNano()).high();
  DeviceView fast = Unknown("a");  // Cheap and fast, if its datasheet holds.
  fast.device.mutable_info()->set_throughput_flops_datasheet(1e13);
  ASSERT_LT(SecondsOn(fast).mean(), deadline);
  DeviceView slow = Unknown("b");
  slow.device.mutable_info()->set_throughput_flops_datasheet(1e13 * SecondsOn(fast).mean() /
                                                             deadline);
  const v1::PlanResponse plan = Plan({slow, OrinNano()}, deadline);
  ASSERT_TRUE(FindCandidate(plan, "b")->probe());
  EXPECT_EQ(plan.chosen_device_id(), "id-orin");
}

TEST_F(ProbeStartTest, ABatteryHasToHoldTheMean) {
  DeviceView device = Unknown("a");
  const double joules = Plan({device}, 0).candidates(0).prediction().run_energy_joules().mean();
  SetBattery(1.3 * joules / 3600, 1, &device);
  EXPECT_TRUE(Plan({device}, 0).candidates(0).probe());
  SetBattery(0.7 * joules / 3600, 1, &device);
  const v1::PlanResponse plan = Plan({device}, 0);
  EXPECT_FALSE(plan.candidates(0).feasible());
  EXPECT_FALSE(plan.candidates(0).permanent()) << "its lower end fits";
}

}  // namespace
}  // namespace wattle::scheduler
