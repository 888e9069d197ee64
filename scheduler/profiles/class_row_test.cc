// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/class_row.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::scheduler {
namespace {

v1::Receipt ReceiptOf(const v1::ProfileRow& row, double seconds_per_unit, double watts) {
  v1::Receipt receipt;
  receipt.set_attempt_id("j1.1");
  v1::WorkDone& work = *receipt.mutable_work();
  *work.mutable_signature() = row.signature();
  work.set_unit(row.unit());
  work.set_units(1000);
  v1::EnergyMeasurement& run = *receipt.mutable_run();
  run.set_seconds(1000 * seconds_per_unit);
  run.set_mean_power_watts(watts);
  run.set_peak_power_watts(watts);
  run.set_coverage_ratio(1);
  run.set_source(v1::ENERGY_SOURCE_INA3221);
  return receipt;
}

class ClassRowTest : public testing::Test {
 protected:
  void Run(const std::string& device_id, double seconds_per_unit, double watts = 10,
           int64_t memory_bytes = 0) {
    v1::DeviceInfo device;
    device.set_device_id(device_id);
    device.set_device_class("board-a");
    v1::Receipt receipt = ReceiptOf(RowForTest("", 1), seconds_per_unit, watts);
    receipt.set_peak_memory_bytes(memory_bytes);
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table_, device, receipt, absl::FromUnixSeconds(++at_))) {
      ASSERT_THAT(table_.Put(row), IsOk());
    }
  }
  [[nodiscard]] const v1::ProfileRow& OfClass() const {
    return *table_.FindLike(RowForTest("", 1));
  }

  ProfileTable table_;
  int64_t at_ = 0;
};

TEST_F(ClassRowTest, OneBoardsWordMovesTheClassByOnePlaceAtMost) {
  for (int i = 0; i < 3; ++i) {
    Run("a", 0.98, 9.9, 100);
    Run("b", 1.00, 10, 110);
    Run("c", 1.02, 10.1, 120);
  }
  const double before = OfClass().seconds_per_unit().mean();
  const double watts_before = OfClass().power_watts().mean();
  const double joules_before = OfClass().energy_joules_per_unit().mean();
  EXPECT_NEAR(before, 1.00, 1e-9);
  // A board reports a tenth of the time, twice the watts and all the memory.
  for (int i = 0; i < 200; ++i) {
    Run("poison", 0.1, 20, 1'000'000);
  }
  EXPECT_NEAR(OfClass().seconds_per_unit().mean() / before, 1, 0.05);
  EXPECT_NEAR(OfClass().power_watts().mean() / watts_before, 1, 0.05);
  EXPECT_NEAR(OfClass().energy_joules_per_unit().mean() / joules_before, 1, 0.05);
  EXPECT_EQ(OfClass().peak_memory_bytes(), 120) << "what a second board has seen";
  EXPECT_NEAR(OfClass().peak_power_watts(), 10.1, 1e-9);
}

TEST_F(ClassRowTest, TwoBoardsHaveNoMiddle) {
  Run("a", 1);
  Run("b", 2);
  Run("b", 2);
  EXPECT_NEAR(OfClass().seconds_per_unit().mean(), 5.0 / 3, 1e-9) << "by runs";
}

TEST_F(ClassRowTest, TheSpreadIsThatOfTheBoards) {
  Run("a", 0.9);
  Run("b", 1.0);
  Run("c", 1.1);
  EXPECT_EQ(OfClass().seconds_per_unit().count(), 3);
  EXPECT_NEAR(OfClass().seconds_per_unit().mean(), 1, 1e-9);
  EXPECT_NEAR(OfClass().seconds_per_unit().relative_deviation(), 1.4826 * 0.1, 1e-6);
  EXPECT_NEAR(OfClass().seconds_per_unit().min(), 0.9, 1e-9);
  EXPECT_NEAR(OfClass().seconds_per_unit().max(), 1.1, 1e-9);
}

TEST_F(ClassRowTest, RunsOfAnotherModeOrUnitAreNotOfTheRow) {
  const v1::ProfileRow of_class = RowForTest("", 1);
  EXPECT_TRUE(IsOfClassRow(RowForTest("a", 1), of_class));
  EXPECT_FALSE(IsOfClassRow(of_class, of_class)) << "no board's";
  v1::ProfileRow other = RowForTest("a", 1);
  other.set_power_mode("15W");
  EXPECT_FALSE(IsOfClassRow(other, of_class));
  other = RowForTest("a", 1);
  other.set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  EXPECT_FALSE(IsOfClassRow(other, of_class));
  other = RowForTest("a", 1);
  other.mutable_signature()->set_batch_size(4);
  EXPECT_FALSE(IsOfClassRow(other, of_class));
  other = RowForTest("a", 1);
  other.set_source(v1::PROFILE_SOURCE_PROBED);
  EXPECT_FALSE(IsOfClassRow(other, of_class));
}

}  // namespace
}  // namespace wattle::scheduler
