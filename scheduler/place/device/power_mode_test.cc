// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests in which power mode a device runs a job if its worker may set one.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kExamples = 1000;

// A real board in its 15 W mode, whose worker may set the others.
DeviceView Board(const std::string& name = "board") {
  DeviceView view = MakeDevice("test-board", name);
  v1::DeviceInfo& info = *view.device.mutable_info();
  info.set_emulated(false);
  info.set_idle_power_watts(3);
  for (const double watts : {10.0, 15.0, 25.0}) {
    v1::PowerMode& mode = *info.add_power_modes();
    mode.set_name(std::to_string(static_cast<int>(watts)) + "W");
    mode.set_nominal_power_watts(watts);
  }
  info.set_power_mode("15W");
  info.set_sets_power_modes(true);
  return view;
}

void Learn(const std::string& mode, double seconds, double watts, ProfileTable* table) {
  const JobView job = RealJob("j1", kExamples);
  const WorkAmount work = WorkOf(job.spec, job.inputs, *table).value();
  v1::Receipt receipt = MeasuredReceipt(work, seconds, watts);
  receipt.set_power_mode(mode);
  // Three runs each: a row of a device that was measured well.
  for (int i = 0; i < 3; ++i) {
    for (const v1::ProfileRow& row :
         LearnFromReceipt(*table, Board().device.info(), receipt, absl::UnixEpoch())) {
      ASSERT_THAT(table->Put(row), IsOk());
    }
  }
}

// 1000 s at 12 W, 1800 s at 7 W, 750 s at 22 W: net 9.0, 7.2 and 14.25 kJ.
ProfileTable Measured() {
  ProfileTable table;
  Learn("15W", 1000, 12, &table);
  Learn("10W", 1800, 7, &table);
  Learn("25W", 750, 22, &table);
  return table;
}

v1::Candidate PlanFor(const DeviceView& board, const ProfileTable& profiles, const JobView& job) {
  const Snapshot snapshot = MakeSnapshot({board}, profiles);
  const auto plan = PlanJob(snapshot, job);
  EXPECT_THAT(plan, IsOk());
  EXPECT_EQ(plan->candidates_size(), 1);
  return plan->candidates(0);
}

TEST(PowerModeChoiceTest, EachObjectiveTakesItsMode) {
  const ProfileTable table = Measured();
  const v1::Candidate lean = PlanFor(Board(), table, RealJob("j1", kExamples));
  EXPECT_EQ(lean.power_mode(), "10W");
  EXPECT_TRUE(lean.sets_power_mode());
  EXPECT_NEAR(lean.prediction().mean_power_watts(), 7, 1e-6);
  EXPECT_NEAR(lean.prediction().run_seconds().mean(), 1800, 1);
  ASSERT_EQ(lean.other_power_modes_size(), 2);
  EXPECT_EQ(lean.other_power_modes(0).power_mode(), "15W");
  EXPECT_EQ(lean.other_power_modes(0).provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  EXPECT_EQ(lean.other_power_modes(1).power_mode(), "25W");
  EXPECT_GT(lean.other_power_modes(1).marginal_energy_joules(), lean.marginal_energy_joules());
  const v1::Candidate fast = PlanFor(Board(), table, RealJob("j1", kExamples, v1::OBJECTIVE_TIME));
  EXPECT_EQ(fast.power_mode(), "25W");
}

TEST(PowerModeChoiceTest, WithoutPermissionTheModeStaysAsItIs) {
  const ProfileTable table = Measured();
  DeviceView board = Board();
  board.device.mutable_info()->set_sets_power_modes(false);
  for (const v1::Objective objective : {v1::OBJECTIVE_ENERGY, v1::OBJECTIVE_TIME}) {
    const v1::Candidate candidate = PlanFor(board, table, RealJob("j1", kExamples, objective));
    EXPECT_EQ(candidate.power_mode(), "15W");
    EXPECT_FALSE(candidate.sets_power_mode());
    EXPECT_EQ(candidate.other_power_modes_size(), 0);
  }
}

// A guess is no reason to change the mode: carried predictions have the same net joules.
TEST(PowerModeChoiceTest, ForEnergyAMeasuredModeIsNotLeftForAGuess) {
  ProfileTable table;
  Learn("15W", 1000, 12, &table);
  const v1::Candidate candidate = PlanFor(Board(), table, RealJob("j1", kExamples));
  EXPECT_EQ(candidate.power_mode(), "15W");
  EXPECT_FALSE(candidate.sets_power_mode());
  ASSERT_EQ(candidate.other_power_modes_size(), 2);
  EXPECT_TRUE(candidate.other_power_modes(0).feasible());
}

// The clocks of two measured modes determine the cost of the third.
TEST(PowerModeChoiceTest, AModeThatNobodyMeasuredIsChosenByItsClock) {
  ProfileTable table;
  Learn("15W", 1000, 12, &table);
  Learn("25W", 900, 23.6, &table);
  DeviceView board = Board();
  EXPECT_EQ(PlanFor(board, table, RealJob("j1", kExamples)).power_mode(), "15W");
  for (v1::PowerMode& mode : *board.device.mutable_info()->mutable_power_modes()) {
    mode.set_cpu_mhz(mode.name() == "10W" ? 800 : mode.name() == "15W" ? 1200 : 1600);
  }
  const v1::Candidate candidate = PlanFor(board, table, RealJob("j1", kExamples));
  EXPECT_EQ(candidate.power_mode(), "10W");
  EXPECT_TRUE(candidate.sets_power_mode());
  EXPECT_EQ(candidate.prediction().provenance(), v1::PROVENANCE_OTHER_MODE);
  EXPECT_THAT(candidate.prediction().provenance_note(), HasSubstr("by the clocks of 2 measured"));
}

TEST(PowerModeChoiceTest, ADeadlineMayAskForALargerMode) {
  const ProfileTable table = Measured();
  JobView job = RealJob("j1", kExamples);
  job.spec.set_deadline_seconds(1200);
  const v1::Candidate candidate = PlanFor(Board(), table, job);
  EXPECT_TRUE(candidate.feasible());
  EXPECT_EQ(candidate.power_mode(), "25W");
  EXPECT_FALSE(candidate.other_power_modes(1).feasible());
  EXPECT_THAT(candidate.other_power_modes(1).reason(), HasSubstr("deadline"));
}

TEST(PowerModeChoiceTest, TheQueueStartsTheJobInItsMode) {
  const ProfileTable table = Measured();
  Snapshot snapshot = MakeSnapshot({Board()}, table);
  snapshot.queue = {RealJob("j1", kExamples), RealJob("j2", kExamples, v1::OBJECTIVE_TIME)};
  snapshot.queue[0].spec.set_priority(1);  // Else it is put off.
  const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
  ASSERT_EQ(placements.size(), 2);
  EXPECT_EQ(placements[0].power_mode, "10W");
  EXPECT_NEAR(placements[0].prediction.mean_power_watts(), 7, 1e-6);
  EXPECT_THAT(placements[0].placement.reason(), HasSubstr("in power mode 10W"));
  EXPECT_EQ(placements[1].power_mode, "25W");
  EXPECT_GT(placements[1].placement.best(0).start_in_seconds(), 1800);
}

}  // namespace
}  // namespace wattle::scheduler
