// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An operator edits the settings of a power mode but keeps its name: earlier runs then serve as
// runs of another mode.
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

constexpr double kMhz = 1500;
constexpr double kEditedMhz = 1000;

double SecondsAt(double mhz) {
  return 200 + 800 * kMhz / mhz;
}

v1::Device BoardInMode(const std::string& mode, double mhz_of_15w, const std::string& id = "d1") {
  v1::Device device;
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_device_id(id);
  info.set_device_class("board");
  info.set_cores(4);
  info.set_idle_power_watts(2);
  for (const auto& [name, watts, mhz] :
       {std::tuple("7W", 7.0, 600.0), std::tuple("15W", 15.0, mhz_of_15w)}) {
    v1::PowerMode& added = *info.add_power_modes();
    added.set_name(name);
    added.set_nominal_power_watts(watts);
    added.set_cpu_mhz(mhz);
    added.set_cores(4);
  }
  info.set_power_mode(mode);
  return device;
}

const WorkAmount& Work() {
  static const auto* const kWork = new WorkAmount(DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 8));
  return *kWork;
}

void LearnRun(const v1::Device& board, double seconds, ProfileTable* table) {
  v1::Receipt receipt = MeasuredReceipt(Work(), seconds, 8);
  receipt.set_power_mode(board.info().power_mode());
  for (const v1::ProfileRow& row :
       LearnFromReceipt(*table, board.info(), receipt, absl::UnixEpoch())) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

ProfileTable MeasuredBeforeTheEdit(const std::vector<std::string>& modes = {"7W", "15W"}) {
  ProfileTable table;
  for (const std::string& mode : modes) {
    for (int run = 0; run < 3; ++run) {
      LearnRun(BoardInMode(mode, kMhz), SecondsAt(mode == "7W" ? 600 : kMhz), &table);
    }
  }
  return table;
}

v1::Prediction PredictIn(const ProfileTable& table, const v1::Device& board) {
  return Predict(table, board, Work(), {});
}

TEST(EditedModeTest, AnObservationKeepsWhatItsModeSet) {
  int found = 0;
  for (const v1::ProfileRow& row : MeasuredBeforeTheEdit({"15W"}).Rows()) {
    for (const v1::RunObservation& run : row.runs()) {
      EXPECT_EQ(run.power_mode().cpu_mhz(), kMhz);
      EXPECT_EQ(run.power_mode().cores(), 4);
      EXPECT_EQ(run.power_mode().nominal_power_watts(), 15);
      ++found;
    }
  }
  EXPECT_EQ(found, 3 + 1);  // Three of the device, and the latest of the class.
}

TEST(EditedModeTest, RunsFromBeforeServeAsAnotherMode) {
  const ProfileTable table = MeasuredBeforeTheEdit();
  EXPECT_EQ(PredictIn(table, BoardInMode("15W", kMhz)).provenance(),
            v1::PROVENANCE_MEASURED_DEVICE);
  for (const std::string id : {"d1", "d2"}) {
    const v1::Prediction edited = PredictIn(table, BoardInMode("15W", kEditedMhz, id));
    EXPECT_EQ(edited.provenance(), v1::PROVENANCE_OTHER_MODE) << id;
    EXPECT_NEAR(edited.run_seconds().mean() / SecondsAt(kEditedMhz), 1, 0.03) << id;
    EXPECT_THAT(edited.provenance_note(), HasSubstr("(7W, 15W (15 W, 1500 MHz, 4 cores))"));
  }
  // The mode that was not edited still counts as measured.
  EXPECT_EQ(PredictIn(table, BoardInMode("7W", kEditedMhz)).provenance(),
            v1::PROVENANCE_MEASURED_DEVICE);
}

TEST(EditedModeTest, FewerCoresAreAnotherModeToo) {
  v1::Device board = BoardInMode("15W", kMhz);
  board.mutable_info()->mutable_power_modes(1)->set_cores(2);
  const v1::Prediction edited = PredictIn(MeasuredBeforeTheEdit(), board);
  EXPECT_EQ(edited.provenance(), v1::PROVENANCE_OTHER_MODE);
  EXPECT_GT(edited.run_seconds().mean(), 1.05 * SecondsAt(kMhz));
}

TEST(EditedModeTest, OneMeasuredModeIsCarriedWithAWiderInterval) {
  const ProfileTable table = MeasuredBeforeTheEdit({"15W"});
  const v1::Prediction before = PredictIn(table, BoardInMode("15W", kMhz));
  v1::Device board = BoardInMode("15W", kEditedMhz);
  board.mutable_info()->mutable_power_modes(1)->set_nominal_power_watts(10);
  const v1::Prediction edited = PredictIn(table, board);
  EXPECT_EQ(edited.provenance(), v1::PROVENANCE_OTHER_MODE);
  EXPECT_GT(edited.time_deviation(), 0.35);
  EXPECT_THAT(edited.provenance_note(),
              HasSubstr("measured in power mode 15W (15 W, 1500 MHz, 4 cores)"));
  // Carried by the ratio of the former to the present watts.
  EXPECT_NEAR(edited.mean_power_watts() / before.mean_power_watts(), 10.0 / 15, 1e-9);
}

TEST(EditedModeTest, EachSetOfNumbersHasMeansOfItsOwn) {
  ProfileTable table = MeasuredBeforeTheEdit();
  const v1::Prediction before = PredictIn(table, BoardInMode("15W", kMhz));
  LearnRun(BoardInMode("15W", kEditedMhz), SecondsAt(kEditedMhz), &table);
  LearnRun(BoardInMode("15W", kEditedMhz), SecondsAt(kEditedMhz), &table);
  const v1::Prediction after = PredictIn(table, BoardInMode("15W", kEditedMhz));
  EXPECT_EQ(after.provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  EXPECT_NEAR(after.run_seconds().mean(), SecondsAt(kEditedMhz), 1e-6);
  EXPECT_THAT(after.provenance_note(), HasSubstr("2 runs"));
  EXPECT_EQ(PredictIn(table, BoardInMode("15W", kEditedMhz, "d2")).provenance(),
            v1::PROVENANCE_MEASURED_CLASS);
  // The edit is undone, and the old measurements serve as before.
  EXPECT_EQ(PredictIn(table, BoardInMode("15W", kMhz)).SerializeAsString(),
            before.SerializeAsString());
}

// Rows of older versions have only the name, and a worker may not know its modes' numbers.
TEST(EditedModeTest, RunsThatDoNotKnowTheirModeGoByItsName) {
  ProfileTable table;
  for (v1::ProfileRow row : MeasuredBeforeTheEdit().Rows()) {
    row.clear_runs();
    ASSERT_THAT(table.Put(row), IsOk());
  }
  EXPECT_EQ(PredictIn(table, BoardInMode("15W", kEditedMhz)).provenance(),
            v1::PROVENANCE_MEASURED_DEVICE);
  v1::Device untold = BoardInMode("15W", kMhz);
  untold.mutable_info()->clear_power_modes();
  EXPECT_EQ(PredictIn(MeasuredBeforeTheEdit(), untold).provenance(),
            v1::PROVENANCE_MEASURED_DEVICE);
}

}  // namespace
}  // namespace wattle::scheduler
