// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/probe.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::scheduler {
namespace {

v1::DeviceInfo Board() {
  v1::DeviceInfo device;
  device.set_device_id("a1");
  device.set_device_class("board-a");
  return device;
}

v1::SteadyWork Steady(double seconds, int64_t steps, int64_t tokens, double watts = 10) {
  v1::SteadyWork steady;
  steady.set_seconds(seconds);
  steady.set_steps(steps);
  steady.set_tokens(tokens);
  steady.set_energy_joules(watts * seconds);
  steady.set_covered_seconds(seconds);
  return steady;
}

std::optional<v1::ProfileRow> Learn(const v1::SteadyWork& steady,
                                    double answer_passes_per_example = 0) {
  const v1::DeviceInfo device = Board();
  const v1::ProfileRow like = RowForTest("a1", 1);
  return LearnFromSteadyWork({.attempt_id = "j1.1",
                              .device = device,
                              .power_mode = "15W",
                              .signature = like.signature(),
                              .unit = like.unit(),
                              .answer_passes_per_example = answer_passes_per_example,
                              .idle_power_watts = 4},
                             steady, absl::FromUnixSeconds(1'800'000'000));
}

v1::Receipt ReceiptOf(double seconds) {
  v1::Receipt receipt;
  receipt.set_attempt_id("j1.1");
  receipt.set_power_mode("15W");
  v1::EnergyMeasurement& run = *receipt.mutable_run();
  run.set_seconds(seconds);
  run.set_mean_power_watts(10);
  run.set_coverage_ratio(1);
  run.set_source(v1::ENERGY_SOURCE_INA3221);
  v1::WorkDone& work = *receipt.mutable_work();
  *work.mutable_signature() = RowForTest("a1", 1).signature();
  work.mutable_signature()->set_engine("wattle");  // A plan does not name the engine.
  work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  work.set_units(10'000);
  return receipt;
}

void LearnReceipt(double seconds, ProfileTable& table) {
  for (const v1::ProfileRow& row :
       LearnFromReceipt(table, Board(), ReceiptOf(seconds), absl::FromUnixSeconds(1'800'001'000))) {
    ASSERT_THAT(table.Put(row), IsOk());
  }
}

TEST(ProbeTest, StepsThatGenerateAnswersTeachNothing) {
  EXPECT_FALSE(Learn(Steady(20, 10, 1000), 8).has_value());
}

TEST(ProbeTest, FirstStepsGiveSecondsAndJoulesOfAToken) {
  const auto row = Learn(Steady(20, 10, 1000));
  ASSERT_TRUE(row.has_value());
  EXPECT_DOUBLE_EQ(row->seconds_per_unit().mean(), 0.02);
  EXPECT_DOUBLE_EQ(row->energy_joules_per_unit().mean(), 0.2);
  EXPECT_DOUBLE_EQ(row->net_energy_joules_per_unit(), 0.12);
  EXPECT_EQ(row->source(), v1::PROFILE_SOURCE_PROBED);
  EXPECT_EQ(row->probe_attempt_id(), "j1.1");
  EXPECT_EQ(row->source_note(), "the first 20 s of attempt j1.1");
}

TEST(ProbeTest, TooLittleWorkTeachesNothing) {
  EXPECT_FALSE(Learn(Steady(4.9, 100, 1000)).has_value());
  EXPECT_FALSE(Learn(Steady(14.9, 3, 1000)).has_value());
  EXPECT_TRUE(Learn(Steady(5, 4, 1000)).has_value());
  EXPECT_TRUE(Learn(Steady(15, 1, 1000)).has_value());
}

TEST(ProbeTest, NumbersThatNoBoardGivesTeachNothing) {
  EXPECT_FALSE(Learn(Steady(20, 10, 0)).has_value());
  EXPECT_FALSE(Learn(Steady(std::nan(""), 10, 1000)).has_value());
  EXPECT_FALSE(Learn(Steady(std::numeric_limits<double>::infinity(), 10, 1000)).has_value());
  EXPECT_FALSE(Learn(Steady(20, 10, 1000, 14'290)).has_value());  // Milliwatts.
}

TEST(ProbeTest, WithoutEnoughReadingsOnlyTheTimeIsLearned) {
  v1::SteadyWork steady = Steady(20, 10, 1000);
  steady.set_covered_seconds(9);
  const auto row = Learn(steady);
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->power_watts().count(), 0);
  EXPECT_DOUBLE_EQ(row->seconds_per_unit().mean(), 0.02);
}

TEST(ProbeTest, AGenerationThatMayEndEarlyIsNotWide) {
  v1::Prediction prediction;
  prediction.mutable_run_seconds()->set_mean(100);
  prediction.mutable_run_seconds()->set_low(30);
  prediction.mutable_run_seconds()->set_high(120);
  EXPECT_FALSE(IsWide(prediction));
  prediction.mutable_run_seconds()->set_high(180);
  EXPECT_TRUE(IsWide(prediction));
}

// The receipt counts the whole run, its probe included: so the probe must not count in addition.
TEST(ProbeTest, TheReceiptReplacesItsProbe) {
  ProfileTable table;
  ASSERT_THAT(table.Put(*Learn(Steady(20, 10, 1000))), IsOk());
  EXPECT_EQ(table.size(), 1);
  ASSERT_NE(FindProbe(table, Board(), "j1.1"), nullptr);
  LearnReceipt(220, table);
  EXPECT_EQ(FindProbe(table, Board(), "j1.1"), nullptr);
  ASSERT_EQ(table.size(), 2);  // The device's row and its class's.
  for (const v1::ProfileRow& row : table.Rows()) {
    EXPECT_EQ(row.source(), v1::PROFILE_SOURCE_MEASURED);
    EXPECT_EQ(row.seconds_per_unit().count(), 1);
    EXPECT_DOUBLE_EQ(row.seconds_per_unit().mean(), 0.022);
  }
}

TEST(ProbeTest, ItsErrorCountsAtItsOwnLevel) {
  ProfileTable table;
  ASSERT_THAT(table.Put(*Learn(Steady(20, 10, 1000))), IsOk());
  LearnReceipt(220, table);
  const v1::ProfileRow* row = nullptr;
  for (const auto& [key, each] : table.OfClass("board-a")) {
    row = each.device_id().empty() ? row : &each;
  }
  ASSERT_NE(row, nullptr);
  ASSERT_EQ(row->runs_size(), 1);
  EXPECT_NEAR(row->runs(0).probe_time_score(), std::log(1.1) / kProbeDeviation, 1e-9);
  EXPECT_LT(table.calibration().IntervalFactor(Quantity::kTime, v1::PROVENANCE_PROBED,
                                               /*emulated=*/false, "a2"),
            kInterval90);
  EXPECT_EQ(table.calibration().IntervalFactor(Quantity::kTime, v1::PROVENANCE_DATASHEET,
                                               /*emulated=*/false, "a2"),
            kInterval90);
}

TEST(ProbeTest, AProbeOfAnEmulatedBoardIsEmulated) {
  v1::DeviceInfo device = Board();
  device.set_emulated(true);
  const v1::ProfileRow like = RowForTest("a1", 1);
  const auto row = LearnFromSteadyWork({.attempt_id = "j1.1",
                                        .device = device,
                                        .power_mode = "",
                                        .signature = like.signature(),
                                        .unit = like.unit()},
                                       Steady(20, 10, 1000), absl::FromUnixSeconds(1));
  ASSERT_TRUE(row.has_value());
  EXPECT_TRUE(row->emulated());
}

}  // namespace
}  // namespace wattle::scheduler
