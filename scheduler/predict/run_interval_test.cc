// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A row's own interval equals that of a prediction based only on the row.
#include "scheduler/profiles/run_interval.h"

#include <cmath>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

v1::Device BoardNamed(const std::string& id) {
  v1::Device device;
  device.mutable_info()->set_device_id(id);
  device.mutable_info()->set_device_class("board-a");
  return device;
}

WorkAmount FineTuneOfLayers(int layers) {
  return DeclaredWork(Gpt2Shape(layers, 384), 1000, 128, 8);
}

// Runs on d1, each placed by a prediction, learned like in a coordinator.
class RunIntervalTest : public ::testing::Test {
 protected:
  void Run(const WorkAmount& work, double seconds) {
    now_ += absl::Hours(1);
    v1::Receipt receipt = MeasuredReceipt(work, seconds, /*watts=*/10);
    *receipt.mutable_predicted() = Predict(table_, BoardNamed("d1"), work, {});
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table_, BoardNamed("d1").info(), receipt, now_)) {
      ASSERT_THAT(table_.Put(row), IsOk());
    }
  }

  [[nodiscard]] v1::ProfileRow RowOf(const WorkAmount& work, const std::string& device_id) const {
    for (const v1::ProfileRow& row : table_.Rows()) {
      if (row.device_id() == device_id &&
          row.signature().model().layers() == work.signature.model().layers()) {
        return row;
      }
    }
    ADD_FAILURE() << "no row of " << device_id;
    return {};
  }

  void ExpectAsPredicted(const v1::ProfileRow& row, const std::string& device_id,
                         const WorkAmount& work) {
    const v1::Prediction predicted = Predict(table_, BoardNamed(device_id), work, {});
    for (const Quantity quantity : {Quantity::kTime, Quantity::kEnergy}) {
      const auto told = RunInterval(row, quantity, table_.calibration(), device_id);
      const v1::Interval& whole =
          quantity == Quantity::kTime ? predicted.run_seconds() : predicted.run_energy_joules();
      ASSERT_TRUE(told.has_value());
      EXPECT_NEAR(told->mean() * work.units / whole.mean(), 1, 1e-9);
      EXPECT_NEAR(told->low() * work.units / whole.low(), 1, 1e-9);
      EXPECT_NEAR(told->high() * work.units / whole.high(), 1, 1e-9);
    }
  }

  ProfileTable table_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

TEST_F(RunIntervalTest, OfADevicesRowAndOfItsClasss) {
  const WorkAmount work = FineTuneOfLayers(6);
  for (const double seconds : {1000, 1180, 870, 1010, 1120, 940}) {
    Run(work, seconds);
  }
  ExpectAsPredicted(RowOf(work, "d1"), "d1", work);
  ExpectAsPredicted(RowOf(work, ""), "d2", work);
}

TEST_F(RunIntervalTest, OfOneRunAlone) {
  const WorkAmount work = FineTuneOfLayers(6);
  Run(work, 1000);
  ExpectAsPredicted(RowOf(work, "d1"), "d1", work);
}

TEST_F(RunIntervalTest, OfARowFromBeforeAChange) {
  const WorkAmount work = FineTuneOfLayers(6);
  const WorkAmount other = FineTuneOfLayers(8);
  for (int run = 0; run < 8; ++run) {
    Run(work, 1000);
    Run(other, 1300);
  }
  Run(other, 2000);
  Run(other, 2000);
  ASSERT_TRUE(IsOutdated(RowOf(work, "d1")));
  ExpectAsPredicted(RowOf(work, "d1"), "d1", work);
  ASSERT_FALSE(IsOutdated(RowOf(other, "d1")));
  ExpectAsPredicted(RowOf(other, "d1"), "d1", other);
}

TEST_F(RunIntervalTest, OfAPublishedRow) {
  v1::ProfileRow row;
  row.set_device_class("board-a");
  row.set_source(v1::PROFILE_SOURCE_PUBLISHED);
  const WorkAmount work = FineTuneOfLayers(6);
  *row.mutable_signature() = work.signature;
  row.set_unit(work.unit);
  row.mutable_seconds_per_unit()->set_mean(0.01);
  row.mutable_seconds_per_unit()->set_count(1);
  row.mutable_power_watts()->set_mean(10);
  row.mutable_power_watts()->set_count(1);
  row.mutable_energy_joules_per_unit()->set_mean(0.1);
  row.mutable_energy_joules_per_unit()->set_count(1);
  ASSERT_THAT(table_.Put(row), IsOk());
  ExpectAsPredicted(row, "d1", work);
}

TEST_F(RunIntervalTest, OfAnImportedRow) {
  const WorkAmount work = FineTuneOfLayers(6);
  for (const double seconds : {1000, 1180, 870}) {
    Run(work, seconds);
  }
  v1::ProfileRow row = RowOf(work, "");
  row.set_source(v1::PROFILE_SOURCE_IMPORTED);
  table_ = ProfileTable();
  ASSERT_THAT(table_.Put(row), IsOk());
  ExpectAsPredicted(row, "d1", work);
}

TEST_F(RunIntervalTest, ARowWithoutAUsableNumberHasNone) {
  const WorkAmount work = FineTuneOfLayers(6);
  Run(work, 1000);
  for (const double mean : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    v1::ProfileRow row = RowOf(work, "d1");
    row.mutable_seconds_per_unit()->set_mean(mean);
    EXPECT_FALSE(RunInterval(row, Quantity::kTime, table_.calibration(), "d1").has_value());
  }
  v1::ProfileRow row = RowOf(work, "d1");
  row.mutable_change()->set_time_ratio(0);
  EXPECT_FALSE(RunInterval(row, Quantity::kTime, table_.calibration(), "d1").has_value());
  row = RowOf(work, "d1");
  row.clear_energy_joules_per_unit();
  EXPECT_FALSE(RunInterval(row, Quantity::kEnergy, table_.calibration(), "d1").has_value());
}

}  // namespace
}  // namespace wattle::scheduler
