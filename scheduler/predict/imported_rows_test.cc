// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the place of another fleet's rows among the levels, and which rows are refused.
#include "scheduler/predict/imported_rows.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/exported_rows.h"
#include "scheduler/profiles/next_run.h"
#include "scheduler/profiles/run_interval.h"

namespace wattle::scheduler {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kTokens = 128;
const absl::Time kThen = absl::FromUnixSeconds(1'800'000'000);

v1::Device BoardOf(const std::string& id, bool emulated = false) {
  v1::Device device;
  device.mutable_info()->set_device_id(id);
  device.mutable_info()->set_device_class("jetson-orin-nano");
  device.mutable_info()->set_emulated(emulated);
  device.mutable_info()->set_engine_version("test");
  device.mutable_info()->set_cores(6);
  return device;
}

WorkAmount WorkOfLayers(int layers, int batch = 8) {
  return DeclaredWork(Gpt2Shape(layers, 384), 1000, kTokens, batch);
}

// Learns a run of `seconds_per_token` at `watts`.
void Learn(const v1::Device& device, const WorkAmount& work, double seconds_per_token, double watts,
           ProfileTable* table) {
  v1::Receipt receipt = MeasuredReceipt(work, seconds_per_token * work.units, watts);
  *receipt.mutable_predicted() = Predict(*table, device, work, {});
  for (const v1::ProfileRow& row : LearnFromReceipt(*table, device.info(), receipt, kThen)) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

// The export of a fleet whose board took `seconds_per_token` for work of 6 and of 12 layers.
v1::ProfileExport FileOf(double seconds_per_token, bool emulated = false) {
  ProfileTable table;
  Learn(BoardOf("elsewhere", emulated), WorkOfLayers(6), seconds_per_token, 9, &table);
  Learn(BoardOf("elsewhere", emulated), WorkOfLayers(12), 2 * seconds_per_token, 9, &table);
  v1::ProfileExport file;
  file.set_format("wattle-profile-rows");
  file.set_version(1);
  file.set_fleet("00112233aabbccdd");
  file.set_exported_unix_seconds(1'800'000'000);
  const std::vector<v1::ProfileRow> rows = RowsToExport(table, "", "");
  file.mutable_rows()->Assign(rows.begin(), rows.end());
  return file;
}

ProfileTable Import(const v1::ProfileExport& file, ProfileTable table = ProfileTable()) {
  const auto rows = ImportedRows(table, file, "rows.json");
  EXPECT_THAT(rows, IsOk());
  if (rows.ok()) {
    for (const v1::ProfileRow& row : *rows) {
      EXPECT_THAT(table.Put(row), IsOk());
    }
  }
  return table;
}

double SecondsPerToken(const v1::Prediction& prediction) {
  return prediction.seconds_per_unit();
}

TEST(ImportedRowsTest, TheyServeTheirClassAndSayWhereTheyAreFrom) {
  const ProfileTable table = Import(FileOf(0.001));
  const v1::Prediction exact = Predict(table, BoardOf("d1"), WorkOfLayers(6), {});
  EXPECT_EQ(exact.provenance(), v1::PROVENANCE_IMPORTED);
  EXPECT_NEAR(SecondsPerToken(exact), 0.001, 1e-9);
  EXPECT_NEAR(exact.mean_power_watts(), 9, 1e-9);
  EXPECT_THAT(exact.provenance_note(),
              HasSubstr("imported: 1 run, fleet 00112233, 2027-01-15, rows.json"));
  const v1::Prediction half_batch = Predict(table, BoardOf("d1"), WorkOfLayers(6, 4), {});
  EXPECT_EQ(half_batch.provenance(), v1::PROVENANCE_IMPORTED);
  EXPECT_GT(half_batch.time_deviation(), exact.time_deviation());
  EXPECT_THAT(half_batch.provenance_note(), Not(HasSubstr("measured")));
  const v1::Prediction other_model = Predict(table, BoardOf("d1"), WorkOfLayers(8), {});
  EXPECT_EQ(other_model.provenance(), v1::PROVENANCE_IMPORTED);
  EXPECT_THAT(other_model.provenance_note(), HasSubstr("from imported gpt2 6 x 384"));
}

TEST(ImportedRowsTest, TheirIntervalIsWideAndThatOfTheRow) {
  const ProfileTable table = Import(FileOf(0.001));
  const WorkAmount work = WorkOfLayers(6);
  const v1::Prediction prediction = Predict(table, BoardOf("d1"), work, {});
  EXPECT_NEAR(prediction.time_deviation(), std::hypot(kRepeatDeviation, kImportedDeviation), 1e-12);
  EXPECT_GT(prediction.time_deviation(), kPublishedDeviation);
  for (const v1::ProfileRow& row : table.Rows()) {
    if (row.signature().model().layers() != 6) {
      continue;
    }
    for (const Quantity quantity : {Quantity::kTime, Quantity::kEnergy}) {
      const auto told = RunInterval(row, quantity, table.calibration(), "d1");
      const v1::Interval& whole =
          quantity == Quantity::kTime ? prediction.run_seconds() : prediction.run_energy_joules();
      ASSERT_TRUE(told.has_value());
      EXPECT_NEAR(told->low() * work.units / whole.low(), 1, 1e-9);
      EXPECT_NEAR(told->high() * work.units / whole.high(), 1, 1e-9);
    }
  }
}

TEST(ImportedRowsTest, AMeasuredRowOfTheClassOrTheDeviceDisplacesThem) {
  ProfileTable table = Import(FileOf(0.001));
  EXPECT_FALSE(IsMeasured(table, {BoardOf("d1").info(), WorkOfLayers(6)}));
  Learn(BoardOf("d1"), WorkOfLayers(6, 4), 0.0013, 8, &table);
  const v1::Prediction own = Predict(table, BoardOf("d1"), WorkOfLayers(6, 4), {});
  EXPECT_EQ(own.provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  EXPECT_NEAR(SecondsPerToken(own), 0.0013, 1e-9);
  // For another batch, a local measurement wins over an imported one of that batch.
  EXPECT_EQ(Predict(table, BoardOf("d1"), WorkOfLayers(6), {}).provenance(),
            v1::PROVENANCE_INTERPOLATED);
  EXPECT_EQ(Predict(table, BoardOf("d2"), WorkOfLayers(6, 4), {}).provenance(),
            v1::PROVENANCE_MEASURED_CLASS);
  EXPECT_EQ(Predict(table, BoardOf("d2"), WorkOfLayers(12), {}).provenance(),
            v1::PROVENANCE_IMPORTED)
      << "of this workload nothing was measured";
  // Only the run counts: the imported row is no run of this row.
  for (const v1::ProfileRow& row : table.Rows()) {
    if (row.source() == v1::PROFILE_SOURCE_MEASURED) {
      EXPECT_EQ(row.seconds_per_unit().count(), 1);
    }
  }
}

TEST(ImportedRowsTest, TheyDisplacePublishedRowsOfTheirWorkload) {
  ProfileTable table = ProfileTable::Priors();
  const WorkAmount gpt2 = DeclaredWork(Gpt2Shape(12, 768), 1000, kTokens, 8);
  EXPECT_EQ(Predict(table, BoardOf("d1"), gpt2, {}).provenance(), v1::PROVENANCE_PUBLISHED);
  ProfileTable elsewhere;
  Learn(BoardOf("elsewhere"), gpt2, 0.004, 9, &elsewhere);
  v1::ProfileExport file = FileOf(0.001);
  const std::vector<v1::ProfileRow> rows = RowsToExport(elsewhere, "", "");
  file.mutable_rows()->Assign(rows.begin(), rows.end());
  table = Import(file, table);
  const v1::Prediction same = Predict(table, BoardOf("d1"), gpt2, {});
  EXPECT_EQ(same.provenance(), v1::PROVENANCE_IMPORTED);
  EXPECT_NEAR(SecondsPerToken(same), 0.004, 1e-9);
  // Holds also for a job scaled from these rows.
  const v1::Prediction scaled =
      Predict(table, BoardOf("d1"), DeclaredWork(Gpt2Shape(13, 768), 1000, kTokens, 8), {});
  EXPECT_EQ(scaled.provenance(), v1::PROVENANCE_IMPORTED);
  table.RemoveImported("");
  EXPECT_EQ(Predict(table, BoardOf("d1"), gpt2, {}).provenance(), v1::PROVENANCE_PUBLISHED);
}

TEST(ImportedRowsTest, RowsOfEmulatedBoardsServeEmulatedOnesAlone) {
  const ProfileTable table = Import(FileOf(0.001, /*emulated=*/true));
  for (const int layers : {6, 8}) {
    EXPECT_EQ(Predict(table, BoardOf("d1"), WorkOfLayers(layers), {}).provenance(),
              v1::PROVENANCE_DATASHEET);
    EXPECT_EQ(
        Predict(table, BoardOf("d1", /*emulated=*/true), WorkOfLayers(layers), {}).provenance(),
        v1::PROVENANCE_IMPORTED);
  }
}

TEST(ImportedRowsTest, TheyTransferNothingToAnotherClass) {
  ProfileTable table = Import(FileOf(0.001));
  v1::Device cousin = BoardOf("d3");
  cousin.mutable_info()->set_device_class("board-b");
  Learn(cousin, WorkOfLayers(6), 0.002, 5, &table);
  const v1::Prediction prediction = Predict(table, cousin, WorkOfLayers(12), {});
  EXPECT_EQ(prediction.provenance(), v1::PROVENANCE_OTHER_MODEL);
  EXPECT_THAT(prediction.provenance_note(), HasSubstr("scaled by cost"));
}

TEST(ImportedRowsTest, TwoFleetsHaveNoCommonRatio) {
  v1::ProfileExport file = FileOf(0.001);
  const int larger = file.rows(0).signature().model().layers() == 12 ? 0 : 1;
  file.mutable_rows()->DeleteSubrange(larger, 1);
  ProfileTable table = Import(file);
  file.mutable_rows(0)->set_device_class("board-b");
  table = Import(file, table);
  v1::Device cousin = BoardOf("d3");
  cousin.mutable_info()->set_device_class("board-b");
  Learn(cousin, WorkOfLayers(12), 0.004, 5, &table);
  // The smaller model is imported for both classes, perhaps from two fleets.
  EXPECT_NE(Predict(table, BoardOf("d1"), WorkOfLayers(12), {}).provenance(),
            v1::PROVENANCE_TRANSFERRED);
}

TEST(ImportedRowsTest, TheLevelLearnsHowWideItHasToBe) {
  ProfileTable table = Import(FileOf(0.001));
  const auto factor = [&table] {
    return table.calibration().IntervalFactor(Quantity::kTime, v1::PROVENANCE_IMPORTED, false, "x");
  };
  EXPECT_EQ(factor(), kInterval90);
  for (int board = 0; board < 40; ++board) {  // Every board is slower than the imported row says.
    ProfileTable fresh = Import(FileOf(0.001));
    const v1::Prediction placed =
        Predict(fresh, BoardOf(absl::StrCat("d", board)), WorkOfLayers(6), {});
    ASSERT_EQ(placed.provenance(), v1::PROVENANCE_IMPORTED);
    v1::Receipt receipt = MeasuredReceipt(WorkOfLayers(6), 2.5 * placed.run_seconds().mean(), 9);
    *receipt.mutable_predicted() = placed;
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, BoardOf(absl::StrCat("d", board)).info(), receipt, kThen)) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
  }
  EXPECT_GT(factor(), 1.5 * kInterval90);
}

TEST(ImportedRowsTest, WhatElsewhereWasMeasuredIsWorthMeasuringHere) {
  ProfileTable table = Import(FileOf(0.001));
  const auto next = NextRunToMeasure(table, {BoardOf("d1").info()});
  ASSERT_TRUE(next.has_value());
  EXPECT_NEAR(std::log(next->ratio_after), 2 * kInterval90 * kRepeatDeviation, 1e-9);
  Learn(BoardOf("d2"), WorkOfLayers(6), 0.001, 9, &table);
  Learn(BoardOf("d2"), WorkOfLayers(12), 0.002, 9, &table);
  const auto after = NextRunToMeasure(table, {BoardOf("d1").info()});
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->row.source(), v1::PROFILE_SOURCE_MEASURED);
}

// Which change of the file makes which error.
struct Wrong {
  std::string name;
  std::function<void(v1::ProfileExport&)> change;
  std::string error;
};

void SetSeconds(double seconds, double joules, v1::ProfileRow* row) {
  row->mutable_seconds_per_unit()->set_mean(seconds);
  row->mutable_energy_joules_per_unit()->set_mean(joules);
}

TEST(ImportedRowsTest, AFileWithOneWrongRowIsRefusedWithPlaceValueAndRemedy) {
  const double nan = std::nan("");
  const std::vector<Wrong> kWrong = {
      {"zero", [](auto& file) { file.mutable_rows(1)->mutable_seconds_per_unit()->set_mean(0); },
       "rows[1]: profile row of jetson-orin-nano: seconds_per_unit: 0 is outside 1e-08 to 1000; "
       "check the unit"},
      {"no runs",
       [](auto& file) { file.mutable_rows(0)->mutable_seconds_per_unit()->set_count(0); },
       "rows[0]: profile row of jetson-orin-nano: seconds_per_unit: count 0"},
      {"NaN", [&](auto& file) { file.mutable_rows(1)->mutable_power_watts()->set_mean(nan); },
       "rows[1]: profile row of jetson-orin-nano: power_watts: nan is outside"},
      {"NaN aside", [&](auto& file) { file.mutable_rows(1)->set_temperature_celsius_max(nan); },
       "rows[1]: profile row of jetson-orin-nano: temperature_celsius_max: nan, wanted a number"},
      {"infinite age",
       [](auto& file) {
         file.mutable_rows(0)->set_updated_unix_seconds(std::numeric_limits<double>::infinity());
       },
       "rows[0]: profile row of jetson-orin-nano: updated_unix_seconds: inf, wanted a number"},
      {"milliwatts",
       [](auto& file) { file.mutable_rows(0)->mutable_power_watts()->set_mean(9000); },
       "rows[0]: profile row of jetson-orin-nano: power_watts: 9000 is outside"},
      {"one of three in thousands",
       [](auto& file) { file.mutable_rows(0)->mutable_seconds_per_unit()->set_mean(1e-6); },
       "rows[0]: profile row of jetson-orin-nano: energy_joules_per_unit: 0.018 J, but 1e-06 s at "
       "9 W make 9e-06 J; one of the three has a wrong unit"},
      {"faster than the board", [](auto& file) { SetSeconds(1e-6, 9e-6, file.mutable_rows(1)); },
       "GFLOP/s, and its datasheet gives at most 6.7e+04; check that the number is in seconds"},
      {"published",
       [](auto& file) { file.mutable_rows(0)->set_source(v1::PROFILE_SOURCE_PUBLISHED); },
       "rows[0]: profile row of jetson-orin-nano: source: PROFILE_SOURCE_PUBLISHED, wanted "
       "PROFILE_SOURCE_MEASURED"},
      {"imported",
       [](auto& file) { file.mutable_rows(0)->set_source(v1::PROFILE_SOURCE_IMPORTED); },
       "source: PROFILE_SOURCE_IMPORTED, wanted PROFILE_SOURCE_MEASURED"},
      {"without a class", [](auto& file) { file.mutable_rows(0)->clear_device_class(); },
       "rows[0]: profile row of : device_class: empty"},
      {"twice", [](auto& file) { *file.add_rows() = file.rows(0); },
       "rows[2]: profile row of jetson-orin-nano: the same class, mode and workload as rows[0]; "
       "leave one of them out"},
      {"version", [](auto& file) { file.set_version(7); }, "version: 7"},
      {"empty", [](auto& file) { file.clear_rows(); }, "rows: none"},
  };
  for (const Wrong& wrong : kWrong) {
    v1::ProfileExport file = FileOf(0.001);
    wrong.change(file);
    EXPECT_THAT(ImportedRows(ProfileTable(), file, "rows.json"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(wrong.error), Not(HasSubstr("\n")))))
        << wrong.name;
  }
}

TEST(ImportedRowsTest, WeightsAreReadNoFasterThanTheMemory) {
  v1::ProfileExport file = FileOf(0.001);
  file.mutable_rows()->DeleteSubrange(1, 1);
  v1::ProfileRow& row = *file.mutable_rows(0);
  row.set_device_class("raspberry-pi-5");
  row.mutable_signature()->set_method(v1::METHOD_GENERATE);
  *row.mutable_signature()->mutable_model() = Gpt2Shape(12, 768);
  row.mutable_signature()->set_batch_size(1);
  row.set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  SetSeconds(0.002, 0.018, &row);
  EXPECT_THAT(ImportedRows(ProfileTable(), file, "rows.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("GB/s of weights, and its datasheet gives at most 17.1")));
  SetSeconds(0.1, 0.9, &row);
  EXPECT_THAT(ImportedRows(ProfileTable(), file, "rows.json"), IsOk());
}

TEST(ImportedRowsTest, ARowFarFromWhatIsKnownHereIsRefused) {
  ProfileTable table;
  for (int run = 0; run < 5; ++run) {
    Learn(BoardOf("d1"), WorkOfLayers(6), 0.001, 9, &table);
  }
  EXPECT_THAT(ImportedRows(table, FileOf(0.0012), "rows.json"), IsOk());
  EXPECT_THAT(ImportedRows(table, FileOf(0.0008), "rows.json"), IsOk());
  for (const double seconds : {1.0, 0.003, 0.0003}) {
    EXPECT_THAT(
        ImportedRows(table, FileOf(seconds), "rows.json"),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("seconds_per_unit: "), HasSubstr("and by what is known here 0.00"),
                       HasSubstr("a factor of "), HasSubstr("is allowed; check unit"))))
        << seconds;
  }
  // The twice as large model was never run here, so known rows are scaled.
  v1::ProfileExport larger = FileOf(0.001);
  larger.mutable_rows()->DeleteSubrange(larger.rows(0).signature().model().layers() == 6 ? 0 : 1,
                                        1);
  EXPECT_THAT(ImportedRows(table, larger, "rows.json"), IsOk());
  SetSeconds(2, 18, larger.mutable_rows(0));
  EXPECT_THAT(ImportedRows(table, larger, "rows.json"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rows[0]")));
}

TEST(ImportedRowsTest, JoulesFarFromWhatIsKnownAreRefused) {
  ProfileTable table;
  Learn(BoardOf("d1"), WorkOfLayers(6), 0.001, 9, &table);
  v1::ProfileExport file = FileOf(0.001);
  for (v1::ProfileRow& row : *file.mutable_rows()) {
    row.mutable_power_watts()->set_mean(90);
    row.mutable_energy_joules_per_unit()->set_mean(10 * row.energy_joules_per_unit().mean());
  }
  EXPECT_THAT(ImportedRows(table, file, "rows.json"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("energy_joules_per_unit: ")));
}

TEST(ImportedRowsTest, MachinesOfAGenericClassContradictNothing) {
  v1::Device machine = BoardOf("d1");
  machine.mutable_info()->set_device_class("generic-x86-64");
  ProfileTable table;
  Learn(machine, WorkOfLayers(6), 0.0001, 90, &table);
  v1::ProfileExport file = FileOf(0.01);
  for (v1::ProfileRow& row : *file.mutable_rows()) {
    row.set_device_class("generic-x86-64");
  }
  EXPECT_THAT(ImportedRows(table, file, "rows.json"), IsOk());
}

TEST(ImportedRowsTest, AnEarlierImportIsNoKnowledge) {
  const ProfileTable table = Import(FileOf(0.05));  // A wrong unit that no earlier check detected.
  EXPECT_THAT(ImportedRows(table, FileOf(0.001), "rows.json"), IsOk());
}

// A paper's engine may differ from Wattle's by more than boards of a class do, but a factor of a
// thousand is a wrong unit.
TEST(ImportedRowsTest, AgainstAPublishedRowOnlyAUnitShows) {
  const WorkAmount gpt2 = DeclaredWork(Gpt2Shape(12, 768), 1000, kTokens, 8);
  const auto imported = [&gpt2](double seconds_per_token) {
    ProfileTable elsewhere;
    Learn(BoardOf("elsewhere"), gpt2, seconds_per_token, 9, &elsewhere);
    v1::ProfileExport file = FileOf(0.001);
    const std::vector<v1::ProfileRow> rows = RowsToExport(elsewhere, "", "");
    file.mutable_rows()->Assign(rows.begin(), rows.end());
    return ImportedRows(ProfileTable::Priors(), file, "rows.json");
  };
  EXPECT_THAT(imported(0.004), IsOk());
  EXPECT_THAT(imported(0.04), IsOk());
  EXPECT_THAT(imported(4), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("published: ")));
}

}  // namespace
}  // namespace wattle::scheduler
