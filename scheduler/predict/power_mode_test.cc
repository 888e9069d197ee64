// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/power_mode.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {
namespace {

using testing::HasSubstr;

// In its 10 W mode, with an idle draw of 3 W.
v1::Device Board(const std::string& mode = "10W") {
  v1::Device device;
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_device_id("d1");
  info.set_device_class("board");
  info.set_cores(4);
  info.set_idle_power_watts(3);
  info.set_throughput_flops_datasheet(1e12);
  for (const double watts : {10.0, 20.0}) {
    v1::PowerMode& added = *info.add_power_modes();
    added.set_name(watts == 10 ? "10W" : "20W");
    added.set_nominal_power_watts(watts);
  }
  info.add_power_modes()->set_name("quiet");
  info.set_power_mode(mode);
  return device;
}

WorkAmount Work() {
  return DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 8);
}

// 100 s at `watts` in the mode.
void Learn(const std::string& mode, double seconds, double watts, ProfileTable* table) {
  const WorkAmount work = Work();
  v1::Receipt receipt = MeasuredReceipt(work, seconds, watts);
  receipt.set_power_mode(mode);
  for (const v1::ProfileRow& row :
       LearnFromReceipt(*table, Board(mode).info(), receipt, absl::UnixEpoch())) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

double WidthOverModes(const v1::Interval& interval) {
  return interval.high() / interval.low();
}

TEST(PowerModeTest, FactorsFollowTheNominalWatts) {
  const v1::DeviceInfo info = Board("10W").info();
  EXPECT_DOUBLE_EQ(PowerModeFactor(info, {"20W"}), 0.5);
  EXPECT_DOUBLE_EQ(PowerModeFactor(info, {"10W"}), 1);
  EXPECT_DOUBLE_EQ(PowerModeFactor(info, {"quiet"}), 1);  // its watts are unknown
  EXPECT_DOUBLE_EQ(PowerModeFactor(info, {""}), 1);
  EXPECT_EQ(LargestPowerMode(info), "20W");
  EXPECT_EQ(LargestPowerMode({}), "");
}

TEST(PowerModeTest, AModeThatWasMeasuredIsPredictedByItsOwnRows) {
  ProfileTable table;
  Learn("10W", 100, 8, &table);
  Learn("20W", 60, 17, &table);
  const v1::Prediction ten = Predict(table, Board("10W"), Work(), {});
  EXPECT_NEAR(ten.run_seconds().mean(), 100, 1e-6);
  EXPECT_NEAR(ten.mean_power_watts(), 8, 1e-6);
  const v1::Prediction twenty = Predict(table, Board("20W"), Work(), {});
  EXPECT_NEAR(twenty.run_seconds().mean(), 60, 1e-6);
  EXPECT_NEAR(twenty.mean_power_watts(), 17, 1e-6);
}

// 8 W of a 10 W mode are 16 W of the 20 W mode: 13 W above idle instead of 5 W.
TEST(PowerModeTest, AModeThatNobodyMeasuredIsCarriedFromAnotherAndTheIntervalIsWider) {
  ProfileTable table;
  Learn("10W", 100, 8, &table);
  const v1::Prediction measured = Predict(table, Board("10W"), Work(), {});
  const v1::Prediction carried = Predict(table, Board("20W"), Work(), {});
  EXPECT_NEAR(carried.mean_power_watts(), 16, 1e-6);
  EXPECT_NEAR(carried.run_seconds().mean(), 100.0 * 5 / 13, 1e-6);
  EXPECT_NEAR(carried.net_energy_joules(), measured.net_energy_joules(), 1e-6);
  EXPECT_GT(WidthOverModes(carried.run_seconds()), 2 * WidthOverModes(measured.run_seconds()));
  EXPECT_THAT(carried.provenance_note(), HasSubstr("measured in power mode 10W"));
  // The watts of the third mode are unknown: the row's numbers with the wider interval.
  const v1::Prediction unknown = Predict(table, Board("quiet"), Work(), {});
  EXPECT_NEAR(unknown.run_seconds().mean(), 100, 1e-6);
  EXPECT_GT(WidthOverModes(unknown.run_seconds()), 2 * WidthOverModes(measured.run_seconds()));
}

// 5 W of a 20 W mode would be 2.5 W of the 10 W mode, and an idle board draws 3 W.
TEST(PowerModeTest, NominalWattsBelowTheIdleDrawKeepTheJoulesAboveIdle) {
  ProfileTable table;
  Learn("20W", 60, 5, &table);
  const v1::Prediction measured = Predict(table, Board("20W"), Work(), {});
  const v1::Prediction carried = Predict(table, Board("10W"), Work(), {});
  EXPECT_NEAR(carried.net_energy_joules(), measured.net_energy_joules(), 1e-6);
  EXPECT_GT(carried.net_energy_joules(), 0);
  EXPECT_NEAR(carried.run_seconds().mean(), 120, 1e-6);
  EXPECT_GT(carried.mean_power_watts(), 3);
}

TEST(PowerModeTest, TheDatasheetSpeaksOfTheLargestMode) {
  const ProfileTable none;
  const v1::Prediction large = Predict(none, Board("20W"), Work(), {});
  const v1::Prediction small = Predict(none, Board("10W"), Work(), {});
  EXPECT_EQ(large.provenance(), v1::PROVENANCE_DATASHEET);
  EXPECT_NEAR(large.mean_power_watts(), 15, 1e-9);
  EXPECT_NEAR(small.mean_power_watts(), 7.5, 1e-9);
  EXPECT_NEAR(small.run_seconds().mean() / large.run_seconds().mean(), 12.0 / 4.5, 1e-9);
  EXPECT_NEAR(small.net_energy_joules(), large.net_energy_joules(), 1e-6);
}

}  // namespace
}  // namespace wattle::scheduler
