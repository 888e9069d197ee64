// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The operator's table of profile rows, and its handling of hostile rows.
#include "cli/profile_view.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cli/testing/golden_text.h"
#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr TextStyle kWide{};
constexpr TextStyle kNarrow80{.width_columns = 80};
constexpr double kDay = 86400;

// The sample's measured row, for `device_id` and with these numbers per unit.
v1::ProfileRow RowOfDevice(const std::string& device_id, double seconds, double joules) {
  v1::ProfileRow row = SampleProfiles().rows(0);
  row.set_device_id(device_id);
  row.mutable_seconds_per_unit()->set_mean(seconds);
  row.mutable_energy_joules_per_unit()->set_mean(joules);
  row.mutable_power_watts()->set_mean(joules / seconds);
  return row;
}

void AddRun(double days_ago, double celsius, v1::ProfileRow* row) {
  v1::RunObservation& run = *row->add_runs();
  run.set_at_unix_seconds(kSampleNowUnixSeconds - days_ago * kDay);
  run.set_seconds_per_unit(row->seconds_per_unit().mean());
  run.set_temperature_celsius_max(celsius);
}

// A board that became slower three days ago, hotter by `hotter_celsius`.
v1::ProfileRow Changed(double time_ratio, double hotter_celsius) {
  v1::ProfileRow row = RowOfDevice(SampleDevices().devices(0).info().device_id(), 0.00604, 0.0683);
  row.mutable_change()->set_at_unix_seconds(kSampleNowUnixSeconds - 3 * kDay);
  row.mutable_change()->set_time_ratio(time_ratio);
  row.mutable_change()->set_measured_since(true);
  AddRun(5, 62, &row);
  AddRun(4, 63, &row);
  AddRun(3, 62.5 + hotter_celsius, &row);
  AddRun(1, 62.5 + hotter_celsius, &row);
  return row;
}

ProfileFacts FactsOf(const std::vector<v1::ProfileRow>& rows) {
  ProfileFacts facts{{}, SampleDevices(), absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds)};
  for (v1::Device& device : *facts.devices.mutable_devices()) {
    device.mutable_info()->set_engine_version("wattle-0.1.0");
  }
  for (const v1::ProfileRow& row : rows) {
    *facts.profiles.add_rows() = row;
  }
  return facts;
}

absl::Time SampleNow() {
  return FactsOf({}).now;
}

TEST(ProfileViewTest, Golden) {
  const ProfileFacts facts =
      FactsOf({Changed(1.31, 9), RowOfDevice("", 0.00461, 0.0521), SampleProfiles().rows(1)});
  ExpectGolden("profiles.txt", RenderProfiles(facts, "", kWide));
  ExpectGolden("profiles_80_columns.txt", RenderProfiles(facts, "", kNarrow80));
  ExpectGolden("profile_show.txt", RenderProfileRow(SampleProfiles().rows(0)));
}

TEST(ProfileViewTest, TheIntervalIsOfOneRunHoweverManyThereWere) {
  v1::ProfileRow row = RowOfDevice("d1", 1, 10);
  row.mutable_seconds_per_unit()->set_count(1'000'000);
  row.mutable_seconds_per_unit()->set_relative_deviation(0.1);
  // exp(±1.645 × 0.1); for the mean of a million runs both ends would be 1.000.
  EXPECT_THAT(RenderProfiles(FactsOf({row}), "", kWide), HasSubstr("  0.848-1.179 s  "));
}

TEST(ProfileViewTest, HeatIsAskedForOnlyWhereRunsSupportIt) {
  EXPECT_EQ(DriftWords(Changed(1.31, 9), SampleNow()), "slower by 31 % since 3 d: heat?");
  EXPECT_EQ(DriftWords(Changed(1.31, 1), SampleNow()), "slower by 31 % since 3 d");
  EXPECT_EQ(DriftWords(Changed(0.8, 9), SampleNow()), "faster by 20 % since 3 d");
  v1::ProfileRow row = Changed(1.31, 9);
  for (v1::RunObservation& run : *row.mutable_runs()) {
    run.clear_temperature_celsius_max();
  }
  EXPECT_EQ(DriftWords(row, SampleNow()), "slower by 31 % since 3 d");
  for (v1::RunObservation& run : *row.mutable_runs()) {
    run.set_throttled_fraction(run.at_unix_seconds() < row.change().at_unix_seconds() ? 0.0 : 0.3);
  }
  EXPECT_EQ(DriftWords(row, SampleNow()), "slower by 31 % since 3 d: heat?");
  row.mutable_runs()->DeleteSubrange(0, 2);  // nothing is known from before the change
  EXPECT_EQ(DriftWords(row, SampleNow()), "slower by 31 % since 3 d");
}

TEST(ProfileViewTest, ARowFromBeforeTheChangeSaysSo) {
  v1::ProfileRow row = Changed(1.31, 9);
  row.mutable_change()->set_measured_since(false);
  EXPECT_EQ(DriftWords(row, SampleNow()), "slower by 31 % since 3 d, not measured since: heat?");
  row.clear_change();
  EXPECT_EQ(DriftWords(row, SampleNow()), "");
}

TEST(ProfileViewTest, NextIsTheRunThatNarrowsMost) {
  const std::string text = RenderProfiles(FactsOf({RowOfDevice("", 0.00461, 0.0521)}), "", kWide);
  EXPECT_THAT(text,
              HasSubstr("\nnext: one run of finetune_full, gpt2 12x768, fp32, batch 8, length "
                        "128 on nano-1 in MODE_15W narrows high / low of its time from 1.43 "
                        "to 1.14; 52.100 mJ for each training token\n"));
  ProfileFacts gone = FactsOf({RowOfDevice("", 0.00461, 0.0521)});
  gone.devices.mutable_devices(0)->set_connected(false);
  EXPECT_THAT(RenderProfiles(gone, "", kWide), Not(HasSubstr("next:")));
}

TEST(ProfileViewTest, WhatARowDoesNotKnowIsADash) {
  v1::ProfileRow row;
  row.set_device_class("raspberry-pi-5");
  for (const std::string& text :
       {RenderProfiles(FactsOf({row}), "", kWide), RenderProfileRow(row)}) {
    EXPECT_THAT(text, Not(HasSubstr("0.0"))) << text;
    EXPECT_THAT(text, Not(HasSubstr("0x0"))) << text;
    EXPECT_THAT(text, Not(HasSubstr("(0 observations)"))) << text;
  }
  EXPECT_THAT(RenderProfileRow(row), HasSubstr("  time          -\n"));
}

TEST(ProfileViewTest, NumbersThatAreNoneAreDashes) {
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity(), -1.0, 0.0}) {
    v1::ProfileRow row = Changed(value, value);
    row.mutable_seconds_per_unit()->set_mean(value);
    row.mutable_energy_joules_per_unit()->set_mean(value);
    row.mutable_change()->set_at_unix_seconds(value);
    row.set_updated_unix_seconds(value);
    const std::string text = RenderProfiles(FactsOf({row}), "", kWide);
    for (const char* const never : {"nan ", "nan-", "inf", "slower", "faster", "next:"}) {
      EXPECT_THAT(text, Not(HasSubstr(never))) << value;
    }
    EXPECT_EQ(RenderFronts(FactsOf({row}).profiles, kWide), "");
  }
  v1::ProfileRow row = RowOfDevice("d1", 1, 10);
  row.mutable_seconds_per_unit()->set_relative_deviation(std::nan(""));
  EXPECT_THAT(RenderProfiles(FactsOf({row}), "", kWide), Not(HasSubstr("nan ")));
}

TEST(ProfileViewTest, AnEmptyTableSaysWhereTheRowsAre) {
  EXPECT_THAT(RenderProfiles(FactsOf({RowOfDevice("", 1, 10)}), "abacus", kWide),
              EndsWith("all classes: wattle profiles\n"));
}

std::vector<v1::ProfileRow> InModes() {
  std::vector<v1::ProfileRow> rows;
  const auto add = [&](const std::string& mode, double seconds, double joules) {
    rows.push_back(RowOfDevice("", seconds, joules));
    rows.back().set_power_mode(mode);
  };
  add("MODE_15W", 0.0046, 0.052);
  add("MODE_7W", 0.0100, 0.060);
  add("MODE_25W", 0.0035, 0.066);
  add("MODE_10W", 0.0070, 0.049);
  return rows;
}

TEST(ProfileFrontTest, Golden) {
  const TextStyle style{.width_columns = 80};
  ExpectGolden("profile_front.txt", RenderFronts(FactsOf(InModes()).profiles, style));
}

TEST(ProfileFrontTest, OneModeIsNoFront) {
  EXPECT_EQ(RenderFronts(FactsOf({InModes()[0]}).profiles, kWide),
            "jetson-orin-nano (emulated), finetune_full, gpt2 12x768, fp32, batch 8, length 128: "
            "measured in one power mode alone (MODE_15W); a front needs two: run such a job in "
            "another mode\n");
}

TEST(ProfileFrontTest, OnlyMeasuredRowsOfTheClassAreDrawn) {
  v1::ProfileRow published = InModes()[1];
  published.set_source(v1::PROFILE_SOURCE_PUBLISHED);
  v1::ProfileRow of_device = InModes()[2];
  of_device.set_device_id("d1");
  const std::string text =
      RenderFronts(FactsOf({InModes()[0], published, of_device}).profiles, kWide);
  EXPECT_THAT(text, HasSubstr("one power mode alone"));
}

TEST(RunFrontTest, GoldenOfAJobWithAFailedRun) {
  v1::Job job;
  const auto add = [&](const std::string& mode, int batch, double seconds, double watts) {
    v1::Attempt& attempt = *job.add_attempts();
    attempt.set_state(v1::ATTEMPT_STATE_FINISHED);
    attempt.mutable_profile_point()->set_power_mode(mode);
    attempt.mutable_profile_point()->set_batch_size(batch);
    attempt.mutable_receipt()->mutable_run()->set_seconds(seconds);
    attempt.mutable_receipt()->mutable_run()->set_mean_power_watts(watts);
    attempt.mutable_receipt()->mutable_work()->set_units(4000);
    attempt.mutable_receipt()->mutable_work()->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  };
  EXPECT_EQ(RenderRunFront(job, kWide), "");
  add("7W", 4, 40, 6);
  add("7W", 8, 36, 6.2);
  add("15W", 4, 22, 11);
  add("15W", 8, 19, 11.4);
  v1::Attempt& failed = *job.add_attempts();
  failed.set_state(v1::ATTEMPT_STATE_FAILED);
  failed.set_reason("out of memory");
  failed.mutable_profile_point()->set_power_mode("15W");
  failed.mutable_profile_point()->set_batch_size(64);
  add("7W", 4, 40, 6);  // a repeated point
  EXPECT_EQ(EndedRuns(job), 6);
  ExpectGolden("profile_run_front.txt", RenderRunFront(job, {.width_columns = 80}));
}

}  // namespace
}  // namespace wattle::cli
