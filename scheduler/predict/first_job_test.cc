// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests what the first steps of a board's first job change in its predictions, and which they leave
// unchanged.
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

const absl::Time kFirstRunAt = absl::FromUnixSeconds(1'800'000'000);

v1::Device NewBoard(const std::string& id) {
  v1::Device device;
  device.mutable_info()->set_device_id(id);
  device.mutable_info()->set_device_class("board-a");
  device.mutable_info()->set_power_mode("15W");
  return device;
}

WorkAmount WorkOfBatch(int batch) {
  return DeclaredWork(Gpt2Shape(6, 384), 1000, 128, batch);
}

// Probes ten steps at the given seconds per token and watts.
void ProbeTenSteps(const v1::Device& device, const WorkAmount& work, const std::string& attempt,
                   double seconds_per_token, double watts, ProfileTable& table) {
  const double tokens = 10 * work.units / work.steps;
  v1::SteadyWork steady;
  steady.set_seconds(seconds_per_token * tokens);
  steady.set_steps(10);
  steady.set_tokens(static_cast<int64_t>(tokens));
  steady.set_covered_seconds(steady.seconds());
  steady.set_energy_joules(watts * steady.seconds());
  const auto row = LearnFromSteadyWork({.attempt_id = attempt,
                                        .device = device.info(),
                                        .power_mode = device.info().power_mode(),
                                        .signature = work.signature,
                                        .unit = work.unit,
                                        .tokens_per_example = work.tokens_per_example},
                                       steady, kFirstRunAt);
  ASSERT_TRUE(row.has_value());
  ASSERT_THAT(table.Put(*row), IsOk());
}

TEST(FirstJobTest, TheProbeNarrowsTheWholeJob) {
  ProfileTable table;
  const v1::Device device = NewBoard("a1");
  const WorkAmount work = WorkOfBatch(8);
  const v1::Prediction before = Predict(table, device, work, {});
  EXPECT_TRUE(IsWide(before));
  ProbeTenSteps(device, work, "j1.1", 0.02, 9, table);
  const v1::Prediction after = Predict(table, device, work, {});
  EXPECT_EQ(after.provenance(), v1::PROVENANCE_PROBED);
  EXPECT_NEAR(after.run_seconds().mean(), 0.02 * work.units, 1e-6 * work.units);
  EXPECT_NEAR(after.run_energy_joules().mean(), 9 * 0.02 * work.units, 1e-5 * work.units);
  EXPECT_NEAR(after.run_seconds().high() / after.run_seconds().low(), std::exp(2 * 1.645 * 0.1),
              1e-9);
  EXPECT_FALSE(IsWide(after));
}

TEST(FirstJobTest, AProbeServesItsOwnDeviceModeBatchAndKindAlone) {
  ProfileTable table;
  const v1::Device device = NewBoard("a1");
  ProbeTenSteps(device, WorkOfBatch(8), "j1.1", 0.02, 9, table);
  const auto level = [&](const v1::Device& of, int batch) {
    return Predict(table, of, WorkOfBatch(batch), {}).provenance();
  };
  EXPECT_EQ(level(device, 8), v1::PROVENANCE_PROBED);
  EXPECT_NE(level(device, 4), v1::PROVENANCE_PROBED);
  EXPECT_NE(level(NewBoard("a2"), 8), v1::PROVENANCE_PROBED);
  v1::Device other_mode = device;
  other_mode.mutable_info()->set_power_mode("25W");
  EXPECT_NE(level(other_mode, 8), v1::PROVENANCE_PROBED);
  v1::Device emulated = device;
  emulated.mutable_info()->set_emulated(true);
  EXPECT_NE(level(emulated, 8), v1::PROVENANCE_PROBED);
}

struct FirstRun {
  std::string board;
  int batch = 0;
  double seconds_per_token = 0;
};

// Plays the runs, each predicted, probed, predicted again, and learned. The predictions as bytes.
std::vector<std::string> PlayFirstRuns(const std::vector<FirstRun>& runs) {
  ProfileTable table = ProfileTable::Priors();
  std::vector<std::string> told;
  int number = 0;
  for (const FirstRun& run : runs) {
    const v1::Device device = NewBoard(run.board);
    const WorkAmount work = WorkOfBatch(run.batch);
    const std::string attempt = absl::StrCat("j", ++number, ".1");
    const v1::Prediction predicted = Predict(table, device, work, {});
    told.push_back(predicted.SerializeAsString());
    ProbeTenSteps(device, work, attempt, run.seconds_per_token * (1 + 0.01 * (number % 5)), 9,
                  table);
    told.push_back(Predict(table, device, work, {}).SerializeAsString());
    v1::Receipt receipt = MeasuredReceipt(work, run.seconds_per_token * work.units, 9);
    receipt.set_attempt_id(attempt);
    receipt.set_power_mode(device.info().power_mode());
    *receipt.mutable_predicted() = predicted;
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, device.info(), receipt, kFirstRunAt + absl::Minutes(number))) {
      EXPECT_THAT(table.Put(row), IsOk());
    }
  }
  return told;
}

// The runs after a moment are reversed and stretched; no prediction before that moment may change.
TEST(FirstJobTest, NoPredictionKnowsWhatComesLater) {
  std::vector<FirstRun> runs;
  for (int i = 0; i < 40; ++i) {
    runs.push_back({absl::StrCat("a", i * 7 % 5), 1 << (i * 3 % 4), 0.01 + 0.003 * (i * 11 % 7)});
  }
  const std::vector<std::string> told = PlayFirstRuns(runs);
  for (const size_t until : {1, 7, 20, 33}) {
    std::vector<FirstRun> others(runs.begin(), runs.begin() + static_cast<ptrdiff_t>(until));
    for (size_t i = runs.size(); i > until; --i) {
      others.push_back(runs[i - 1]);
      others.back().seconds_per_token *= 3;
    }
    const std::vector<std::string> otherwise = PlayFirstRuns(others);
    for (size_t i = 0; i < 2 * until; ++i) {
      ASSERT_EQ(otherwise[i], told[i]) << "prediction " << i << " of " << until << " runs";
    }
    EXPECT_NE(otherwise.back(), told.back());
  }
}

}  // namespace
}  // namespace wattle::scheduler
