// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that a prediction too wide to be planned on starts a job as a probe, where its lower end
// may do, and that nothing else does.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A device of a class without rows: only the datasheet counts.
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
  EXPECT_THAT(plan.reason(),
              testing::ContainsRegex("probe: 30 s and .* J tell how long it takes, by now .*, and "
                                     "each joule is expected to save .* J of a run that misses"));
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

// A probe may draw what exploring may draw of its device in the day in which it starts.
TEST_F(ProbeStartTest, TheDayOfItsDeviceBoundsWhatItDraws) {
  DeviceView device = Unknown("a");
  const v1::Prediction prediction = Plan({device}, 0).candidates(0).prediction();
  const double mean = prediction.run_seconds().mean();
  const Joules demand = ProbeDemand(prediction);
  device.exploration = {.left = 1.1 * demand, .per_day = 1.1 * demand, .day_ends = kTestNow};
  device.exploration.day_ends += absl::Hours(2);
  EXPECT_TRUE(Plan({device}, mean).candidates(0).probe());

  device.exploration.left = 0.9 * demand;
  const v1::PlanResponse none = Plan({device}, mean);
  EXPECT_FALSE(none.candidates(0).feasible());
  EXPECT_FALSE(none.candidates(0).permanent()) << "submit takes the job";
  Snapshot snapshot = MakeSnapshot({device}, table_);
  snapshot.queue = {RealJob("j1", 10000)};
  snapshot.queue[0].spec.set_deadline_seconds(mean + 7200);
  const v1::Placement tomorrow = PlanQueue(snapshot).at(0).placement;
  ASSERT_EQ(tomorrow.best_size(), 1);
  EXPECT_TRUE(tomorrow.best(0).probe()) << tomorrow.best(0).reason();
  EXPECT_DOUBLE_EQ(tomorrow.best(0).start_in_seconds(), 7200);
  EXPECT_THAT(tomorrow.best(0).waits_for(), HasSubstr("exploring may draw"));

  device.exploration.per_day = 0.9 * demand;
  const v1::PlanResponse never = Plan({device}, mean + 7200);
  EXPECT_FALSE(never.candidates(0).feasible());
  EXPECT_EQ(never.candidates(0).refused_by(), "exploration");
  // A prediction that fits is no probe, and exploring does not bound it.
  EXPECT_TRUE(Plan({device}, 2 * prediction.run_seconds().high() + 7200).candidates(0).feasible());
}

}  // namespace
}  // namespace wattle::scheduler
