// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which rows a receipt changes, and which receipts change none.
#include <cmath>
#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/lowered_mode.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/run_interval.h"

namespace wattle::scheduler {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);

v1::DeviceInfo MakeDevice() {
  v1::DeviceInfo device;
  device.set_device_id("d1");
  device.set_device_class("jetson-orin-nano");
  return device;
}

v1::Receipt MakeReceipt(double seconds) {
  v1::Receipt receipt;
  receipt.set_attempt_id("j1.1");
  receipt.set_start_seconds(3);
  v1::EnergyMeasurement& run = *receipt.mutable_run();
  run.set_seconds(seconds);
  run.set_mean_power_watts(10);
  run.set_gross_energy_joules(10 * seconds * 0.9);  // A tenth of the run has no samples.
  run.set_coverage_ratio(0.9);
  run.set_idle_known(true);
  run.set_idle_power_watts(4);
  run.set_source(v1::ENERGY_SOURCE_INA3221);
  v1::WorkDone& work = *receipt.mutable_work();
  work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  work.set_units(50000);
  work.set_tokens(48000);
  work.set_examples(400);
  work.set_steps(50);
  work.set_bytes_per_token(4.2);
  work.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
  v1::ModelShape& model = *work.mutable_signature()->mutable_model();
  model.set_architecture("gpt2");
  model.set_layers(6);
  model.set_width(384);
  model.set_heads(6);
  model.set_vocabulary_size(50257);
  model.set_context_length(512);
  work.mutable_signature()->set_batch_size(8);
  return receipt;
}

TEST(LearnTest, OneReceiptMakesADeviceRowAndAClassRow) {
  const std::vector<v1::ProfileRow> rows =
      LearnFromReceipt(ProfileTable(), MakeDevice(), MakeReceipt(100), kNow);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].device_id(), "d1");
  EXPECT_EQ(rows[1].device_id(), "");
  for (const v1::ProfileRow& row : rows) {
    EXPECT_THAT(ValidateProfileRow(row), IsOk());
    EXPECT_EQ(row.source(), v1::PROFILE_SOURCE_MEASURED);
    EXPECT_DOUBLE_EQ(row.seconds_per_unit().mean(), 0.002);
    // Mean watts × all seconds: the gap in the samples saves no energy.
    EXPECT_DOUBLE_EQ(row.energy_joules_per_unit().mean(), 0.02);
    EXPECT_DOUBLE_EQ(row.net_energy_joules_per_unit(), 0.012);
    EXPECT_DOUBLE_EQ(row.units_per_example(), 120);
    EXPECT_DOUBLE_EQ(row.units_per_step(), 1000);
    EXPECT_DOUBLE_EQ(row.bytes_per_token(), 4.2);
    EXPECT_DOUBLE_EQ(row.start_seconds(), 3);
    EXPECT_DOUBLE_EQ(row.updated_unix_seconds(), 1000);
  }
}

// A run that is paused starts its runner twice.
TEST(LearnTest, TwoStartsAreNotLearnedAsOne) {
  v1::Receipt twice = MakeReceipt(100);
  twice.set_start_seconds(6);
  twice.set_starts(2);
  EXPECT_DOUBLE_EQ(LearnFromReceipt(ProfileTable(), MakeDevice(), twice, kNow)[0].start_seconds(),
                   3);
}

TEST(LearnTest, SecondReceiptMergesMeanAndDeviation) {
  ProfileTable table;
  for (const double seconds : {100.0, 120.0, 110.0}) {
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, MakeDevice(), MakeReceipt(seconds), kNow)) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
  }
  ASSERT_EQ(table.size(), 2U);
  const v1::Statistic seconds = table.Rows()[0].seconds_per_unit();
  EXPECT_EQ(seconds.count(), 3);
  EXPECT_NEAR(seconds.mean(), 110.0 / 50000, 1e-12);
  EXPECT_NEAR(seconds.relative_deviation(), 10.0 / 110.0,
              1e-9);  // Sample deviation of 100, 110, 120.
  EXPECT_DOUBLE_EQ(seconds.min(), 0.002);
  EXPECT_DOUBLE_EQ(seconds.max(), 0.0024);
}

TEST(LearnTest, SomeReceiptsTeachNothing) {
  const std::pair<const char*, std::function<void(v1::Receipt*)>> kCases[] = {
      {"failed", [](v1::Receipt* r) { r->set_failure_class(v1::FAILURE_CLASS_JOB); }},
      {"poor coverage", [](v1::Receipt* r) { r->mutable_run()->set_coverage_ratio(0.5); }},
      {"restarted", [](v1::Receipt* r) { r->set_restarts(1); }},
      {"no time", [](v1::Receipt* r) { r->mutable_run()->set_seconds(0); }},
      {"NaN time", [](v1::Receipt* r) { r->mutable_run()->set_seconds(NAN); }},
      {"no work", [](v1::Receipt* r) { r->mutable_work()->set_units(0); }},
      {"broken meter", [](v1::Receipt* r) { r->mutable_run()->set_mean_power_watts(14290); }},
  };
  for (const auto& [name, change] : kCases) {
    v1::Receipt receipt = MakeReceipt(100);
    change(&receipt);
    EXPECT_TRUE(LearnFromReceipt(ProfileTable(), MakeDevice(), receipt, kNow).empty()) << name;
  }
}

// The mean of fifty runs hides a single wrong unit.
TEST(LearnTest, AnAnswerOfAMomentTeachesNothing) {
  v1::Receipt receipt = MakeReceipt(0.02);
  receipt.mutable_work()->set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  const auto rows_of = [&receipt](double tokens, double seconds) {
    receipt.mutable_work()->set_units(tokens);
    receipt.mutable_run()->set_seconds(seconds);
    return LearnFromReceipt(ProfileTable(), MakeDevice(), receipt, kNow).size();
  };
  EXPECT_EQ(rows_of(3, 0.02), 0U);
  EXPECT_EQ(rows_of(16, 0.02), 2U) << "a fast device";
  EXPECT_EQ(rows_of(3, 5), 2U) << "a slow one";
}

TEST(LearnTest, OneWrongUnitInFiftyTeachesNothing) {
  ProfileTable table;
  for (int run = 0; run < 50; ++run) {
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, MakeDevice(), MakeReceipt(100), kNow)) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
  }
  v1::Receipt receipt = MakeReceipt(100);
  receipt.mutable_run()->set_mean_power_watts(14290);
  EXPECT_TRUE(LearnFromReceipt(table, MakeDevice(), receipt, kNow).empty());
}

TEST(LearnTest, ADeviceRowHoldsItsLatestRuns) {
  ProfileTable table;
  for (int run = 0; run < 30; ++run) {
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, MakeDevice(), MakeReceipt(run % 2 == 0 ? 98 : 102),
                          kNow + absl::Seconds(run))) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
  }
  for (const v1::ProfileRow& row : table.Rows()) {
    EXPECT_EQ(row.seconds_per_unit().count(), 30);
    ASSERT_EQ(row.runs_size(), row.device_id().empty() ? 0 : 20);
    if (row.runs_size() > 0) {
      EXPECT_EQ(row.runs(0).at_unix_seconds(), 1010);
      EXPECT_EQ(row.runs(19).at_unix_seconds(), 1029);
      EXPECT_DOUBLE_EQ(row.runs(19).seconds_per_unit(), 102.0 / 50000);
      EXPECT_EQ(row.runs(19).power_watts(), 10);
      EXPECT_EQ(row.runs(19).idle_power_watts(), 4);
    }
  }
}

TEST(LearnTest, WithoutASensorTimeAloneIsLearned) {
  v1::Receipt receipt = MakeReceipt(100);
  receipt.mutable_run()->set_source(v1::ENERGY_SOURCE_UNSPECIFIED);
  receipt.mutable_run()->set_coverage_ratio(0);
  const auto rows = LearnFromReceipt(ProfileTable(), MakeDevice(), receipt, kNow);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].seconds_per_unit().count(), 1);
  EXPECT_EQ(rows[0].power_watts().count(), 0);
}

// Learns the receipt and returns by how much it moved the device's row.
v1::RowMove MoveBy(const v1::Receipt& receipt, absl::Time now, ProfileTable* table) {
  const auto rows = LearnFromReceipt(*table, MakeDevice(), receipt, now);
  EXPECT_FALSE(rows.empty());
  const v1::RowMove move = MoveOf(*table, rows);
  for (const v1::ProfileRow& row : rows) {
    EXPECT_THAT(table->Put(row), IsOk());
  }
  return move;
}

TEST(LearnTest, ARunSaysByHowMuchItMovedTheDevicesRow) {
  ProfileTable table;
  v1::DeviceInfo other = MakeDevice();
  other.set_device_id("d2");  // The row of the class is not the device's.
  for (const v1::ProfileRow& row : LearnFromReceipt(table, other, MakeReceipt(300), kNow)) {
    ASSERT_THAT(table.Put(row), IsOk());
  }
  const v1::RowMove first = MoveBy(MakeReceipt(100), kNow, &table);
  EXPECT_EQ(first.seconds_per_unit_before(), 0);
  EXPECT_DOUBLE_EQ(first.seconds_per_unit_after(), 0.002);
  EXPECT_EQ(first.joules_per_unit_before(), 0);
  EXPECT_DOUBLE_EQ(first.joules_per_unit_after(), 0.02);
  EXPECT_EQ(first.runs(), 1);
  const v1::RowMove second = MoveBy(MakeReceipt(110), kNow, &table);
  EXPECT_DOUBLE_EQ(second.seconds_per_unit_before(), 0.002);
  EXPECT_DOUBLE_EQ(second.seconds_per_unit_after(), 0.0021);
  EXPECT_EQ(second.runs(), 2);
  EXPECT_FALSE(second.device_changed());
}

TEST(LearnTest, TheRunThatShowsAChangeSaysSo) {
  ProfileTable table;
  absl::Time now = kNow;
  const auto move_by = [&](double seconds) {
    now += absl::Hours(1);
    return MoveBy(MakeReceipt(seconds), now, &table);
  };
  for (int run = 0; run < 20; ++run) {
    EXPECT_FALSE(move_by(run % 2 == 0 ? 99 : 101).device_changed());
  }
  v1::RowMove move = move_by(150);
  for (int run = 0; run < 3 && !move.device_changed(); ++run) {
    move = move_by(150);
  }
  EXPECT_TRUE(move.device_changed());
  EXPECT_LT(move.seconds_per_unit_before(), 0.0025);
  EXPECT_NEAR(move.seconds_per_unit_after(), 0.003, 1e-9);
  EXPECT_LT(move.runs(), 5);
  EXPECT_FALSE(move_by(150).device_changed());
}

TEST(LearnTest, RowsOfAnEmulatedDeviceSayIt) {
  v1::DeviceInfo device = MakeDevice();
  device.set_emulated(true);
  for (const v1::ProfileRow& row :
       LearnFromReceipt(ProfileTable(), device, MakeReceipt(100), kNow)) {
    EXPECT_TRUE(row.emulated());
  }
}

TEST(LearnTest, PromptTokensCountATwentieth) {
  v1::Receipt receipt = MakeReceipt(100);
  v1::WorkDone& work = *receipt.mutable_work();
  work.mutable_signature()->set_method(v1::METHOD_GENERATE);
  work.set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  work.set_units(1000);
  work.set_generated_tokens(1000);
  work.set_prompt_tokens(2500);
  const auto rows = LearnFromReceipt(ProfileTable(), MakeDevice(), receipt, kNow);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_DOUBLE_EQ(rows[0].seconds_per_unit().mean(), 100.0 / 1125);
}

// The width of the interval of one more run, on the logarithm.
double WidthOf(const ProfileTable& table) {
  for (const v1::ProfileRow& row : table.Rows()) {
    if (!row.device_id().empty()) {
      const v1::Interval interval =
          *RunInterval(row, Quantity::kTime, table.calibration(), row.device_id());
      return std::log(interval.high() / interval.low());
    }
  }
  ADD_FAILURE() << "no row of a device";
  return 0;
}

v1::Receipt Contended(v1::Receipt receipt, double ratio) {
  receipt.set_contended_seconds(ratio * receipt.run().seconds());
  return receipt;
}

// Placed with the prediction from the row of 100 s runs.
v1::Receipt PlacedByTheRow(double seconds) {
  v1::Receipt receipt = MakeReceipt(seconds);
  v1::Prediction& predicted = *receipt.mutable_predicted();
  predicted.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  predicted.set_provenance(v1::PROVENANCE_MEASURED_DEVICE);
  predicted.set_seconds_per_unit(0.002);
  predicted.set_time_deviation(0.04);
  predicted.set_energy_deviation(0.06);
  predicted.set_mean_power_watts(10);
  for (v1::Interval* interval :
       {predicted.mutable_run_seconds(), predicted.mutable_run_energy_joules()}) {
    interval->set_mean(100);
    interval->set_low(93);
    interval->set_high(107);
  }
  return receipt;
}

// A device's row and its class's, of three runs of 100 s.
ProfileTable MeasuredTable() {
  ProfileTable table;
  for (int run = 0; run < 3; ++run) {
    MoveBy(MakeReceipt(100), kNow + absl::Hours(run), &table);
  }
  return table;
}

TEST(LearnTest, AContendedRunWidensTheIntervalAndMovesNoRow) {
  ProfileTable table = MeasuredTable();
  const std::vector<v1::ProfileRow> before = table.Rows();
  double width = WidthOf(table);
  for (int run = 0; run < 30; ++run) {
    const v1::RowMove move =
        MoveBy(Contended(PlacedByTheRow(200), 0.9), kNow + absl::Hours(10 + run), &table);
    EXPECT_EQ(move.seconds_per_unit_before(), move.seconds_per_unit_after());
    EXPECT_EQ(move.joules_per_unit_before(), move.joules_per_unit_after());
    EXPECT_FALSE(move.device_changed());
  }
  EXPECT_GT(WidthOf(table), width);
  ASSERT_EQ(table.size(), before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(table.Rows()[i].seconds_per_unit().SerializeAsString(),
              before[i].seconds_per_unit().SerializeAsString());
    EXPECT_EQ(table.Rows()[i].energy_joules_per_unit().SerializeAsString(),
              before[i].energy_joules_per_unit().SerializeAsString());
    EXPECT_LE(table.Rows()[i].runs_size(), 3 + 5) << "what is kept is bounded";
  }
  const v1::RowMove next = MoveBy(MakeReceipt(104), kNow + absl::Hours(50), &table);
  EXPECT_DOUBLE_EQ(next.seconds_per_unit_after(), 0.002 * 1.01) << "the mean of four runs";
}

TEST(LearnTest, AContendedRunWithinItsIntervalTeachesNothing) {
  const ProfileTable table = MeasuredTable();
  EXPECT_TRUE(
      LearnFromReceipt(table, MakeDevice(), Contended(PlacedByTheRow(103), 0.5), kNow).empty())
      << "a hit would make the interval narrower";
}

TEST(LearnTest, ARunWhoseModeWasLoweredTeachesNeitherMode) {
  const ProfileTable table = MeasuredTable();
  v1::Receipt receipt = PlacedByTheRow(300);
  ASSERT_FALSE(LearnFromReceipt(table, MakeDevice(), receipt, kNow).empty());
  receipt.set_power_mode(LoweredMode("7W", receipt.power_mode()));
  EXPECT_TRUE(LearnFromReceipt(table, MakeDevice(), receipt, kNow).empty());
}

TEST(LearnTest, ARunThatWasHardlyContendedIsARun) {
  ProfileTable table = MeasuredTable();
  const v1::RowMove move = MoveBy(Contended(PlacedByTheRow(104), 0.09), kNow, &table);
  EXPECT_GT(move.seconds_per_unit_after(), move.seconds_per_unit_before());
}

// A board whose runs are always contended still gets a row.
TEST(LearnTest, AContendedFirstRunMakesARowThatTheNextRunReplaces) {
  ProfileTable table;
  MoveBy(Contended(MakeReceipt(300), 0.9), kNow, &table);
  ASSERT_EQ(table.size(), 1U) << "the device's; its class learns nothing";
  EXPECT_DOUBLE_EQ(table.Rows()[0].seconds_per_unit().mean(), 0.006);
  MoveBy(Contended(PlacedByTheRow(500), 0.9), kNow + absl::Hours(1), &table);
  EXPECT_DOUBLE_EQ(table.Rows()[0].seconds_per_unit().mean(), 0.006);
  const v1::RowMove move = MoveBy(MakeReceipt(100), kNow + absl::Hours(2), &table);
  EXPECT_DOUBLE_EQ(move.seconds_per_unit_after(), 0.002);
  EXPECT_EQ(move.runs(), 1);
  EXPECT_FALSE(move.device_changed());
}

}  // namespace
}  // namespace wattle::scheduler
