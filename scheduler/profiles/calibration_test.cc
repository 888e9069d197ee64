// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests how scores of past runs widen and narrow intervals, and what a score is.
#include "scheduler/profiles/calibration.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

constexpr auto kLevel = v1::PROVENANCE_MEASURED_CLASS;

v1::ProfileRow RowOf(const std::string& device_id, const std::vector<double>& time_scores,
                     int missed = 0) {
  v1::ProfileRow row;
  row.set_device_id(device_id);
  for (const double score : time_scores) {
    v1::RunObservation& run = *row.add_runs();
    run.set_predicted_by(kLevel);
    run.set_time_score(score);
    run.set_time_missed(row.runs_size() <= missed);
  }
  return row;
}

double TimeFactor(const Calibration& calibration, const std::string& device_id = "other") {
  return calibration.IntervalFactor(Quantity::kTime, kLevel, /*emulated=*/false, device_id);
}

TEST(CalibrationTest, WithoutErrorsTheIntervalIsThatOfANormalVariable) {
  EXPECT_EQ(TimeFactor(Calibration()), kInterval90);
}

TEST(CalibrationTest, NineInTenOfManyScoresLieInside) {
  Calibration calibration;
  std::vector<double> scores;
  for (int i = 0; i < 1000; ++i) {
    scores.push_back(4.0 * i / 1000);
  }
  calibration.Count(RowOf("d1", scores, /*missed=*/100), 1);
  EXPECT_NEAR(TimeFactor(calibration), 3.6, 0.06);
}

TEST(CalibrationTest, GoodPredictionsNarrowTheInterval) {
  Calibration calibration;
  calibration.Count(RowOf("d1", std::vector<double>(500, 0.2), /*missed=*/50), 1);
  EXPECT_LT(TimeFactor(calibration), 0.3);
}

TEST(CalibrationTest, FewScoresMoveTheIntervalALittle) {
  Calibration calibration;
  calibration.Count(RowOf("d1", {6}), 1);
  EXPECT_GT(TimeFactor(calibration), kInterval90);
  EXPECT_LT(TimeFactor(calibration), 2.3);
}

TEST(CalibrationTest, LevelsQuantitiesAndEmulatedDevicesAreApart) {
  Calibration calibration;
  calibration.Count(RowOf("d1", std::vector<double>(100, 5)), 1);
  const auto factor = [&](Quantity quantity, v1::Provenance level, bool emulated) {
    return calibration.IntervalFactor(quantity, level, emulated, "other");
  };
  EXPECT_GT(factor(Quantity::kTime, kLevel, false), 4);
  EXPECT_EQ(factor(Quantity::kEnergy, kLevel, false), kInterval90);
  EXPECT_EQ(factor(Quantity::kTime, v1::PROVENANCE_DATASHEET, false), kInterval90);
  EXPECT_EQ(factor(Quantity::kTime, kLevel, true), kInterval90);
}

TEST(CalibrationTest, ADeviceThatMissesMoreOftenGetsWiderIntervals) {
  Calibration calibration;
  calibration.Count(RowOf("often", std::vector<double>(10, 1), /*missed=*/5), 1);
  calibration.Count(RowOf("never", std::vector<double>(10, 1)), 1);
  EXPECT_GT(TimeFactor(calibration, "often"), TimeFactor(calibration));
  EXPECT_LT(TimeFactor(calibration, "never"), TimeFactor(calibration));
}

TEST(CalibrationTest, MissesOfALevelDoNotWidenTheDevicesOtherLevels) {
  Calibration calibration;
  calibration.Count(RowOf("d1", std::vector<double>(10, 1), /*missed=*/5), 1);
  const auto factor = [&](v1::Provenance level, const std::string& device_id) {
    return calibration.IntervalFactor(Quantity::kTime, level, /*emulated=*/false, device_id);
  };
  EXPECT_GT(factor(kLevel, "d1"), factor(kLevel, "other"));
  EXPECT_EQ(factor(v1::PROVENANCE_MEASURED_DEVICE, "d1"), kInterval90);
}

// A level that a row of a newer version may have.
TEST(CalibrationTest, AnUnknownLevelIsNotCounted) {
  v1::ProfileRow row = RowOf("d1", {1});
  row.mutable_runs(0)->set_predicted_by(static_cast<v1::Provenance>(1000));
  Calibration calibration;
  calibration.Count(row, 1);
  EXPECT_EQ(TimeFactor(calibration, "d1"), kInterval90);
}

TEST(CalibrationTest, ARowThatLeavesTakesItsScoresAlong) {
  Calibration calibration;
  const v1::ProfileRow row = RowOf("d1", {1, 5, 900}, /*missed=*/2);
  calibration.Count(RowOf("d1", {2, 3}), 1);
  const double before = TimeFactor(calibration, "d1");
  calibration.Count(row, 1);
  EXPECT_NE(TimeFactor(calibration, "d1"), before);
  calibration.Count(row, -1);
  EXPECT_EQ(TimeFactor(calibration, "d1"), before);
}

TEST(CalibrationTest, AScoreIsTheErrorInDeviationsOfItsOwnPrediction) {
  v1::Prediction predicted;
  predicted.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  predicted.set_seconds_per_unit(2);
  predicted.set_mean_power_watts(10);
  predicted.mutable_run_seconds()->set_mean(100);
  predicted.mutable_run_seconds()->set_high(100 * std::exp(0.3));
  predicted.mutable_run_energy_joules()->set_mean(1000);
  predicted.mutable_run_energy_joules()->set_high(1000 * std::exp(0.6));
  predicted.set_time_deviation(0.2);
  predicted.set_energy_deviation(0.4);
  predicted.set_provenance(kLevel);
  v1::RunObservation run;
  run.set_seconds_per_unit(2 * std::exp(0.5));
  run.set_power_watts(10);
  Score(predicted, v1::WORK_UNIT_TRAINING_TOKEN, &run);
  EXPECT_EQ(run.predicted_by(), kLevel);
  EXPECT_NEAR(run.time_score(), 2.5, 1e-9);
  EXPECT_NEAR(run.energy_score(), 1.25, 1e-9);
  EXPECT_TRUE(run.time_missed());
  EXPECT_FALSE(run.energy_missed());
}

// A run with a predicted stretch by heat does not show an error of the rate if its time lies
// between that of a cool board and the prediction.
TEST(CalibrationTest, HeatIsNoErrorOfTheRate) {
  v1::Prediction predicted;
  predicted.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  predicted.set_seconds_per_unit(2);
  predicted.set_idle_power_watts(3);
  predicted.set_mean_power_watts(3 + 9 / 1.5);  // 12 W on a cool board
  predicted.set_heat_stretch_ratio(1.5);
  predicted.mutable_run_seconds()->set_mean(150);
  predicted.mutable_run_seconds()->set_high(150 * std::exp(0.3));
  predicted.mutable_run_energy_joules()->set_mean(1350);
  predicted.mutable_run_energy_joules()->set_high(1350 * std::exp(0.6));
  predicted.set_time_deviation(0.2);
  predicted.set_energy_deviation(0.4);
  predicted.set_provenance(kLevel);
  const auto score = [&](double seconds, double watts) {
    v1::RunObservation run;
    run.set_seconds_per_unit(seconds);
    run.set_power_watts(watts);
    Score(predicted, v1::WORK_UNIT_TRAINING_TOKEN, &run);
    return run;
  };
  for (const auto& [seconds, watts] :
       {std::pair(2.0, 12.0), std::pair(2.5, 10.2), std::pair(3.0, 9.0)}) {
    EXPECT_NEAR(score(seconds, watts).time_score(), 0, 1e-9) << seconds;
    EXPECT_NEAR(score(seconds, watts).energy_score(), 0, 1e-9) << seconds;
  }
  EXPECT_NEAR(score(3 * std::exp(0.2), 9).time_score(), 1, 1e-9);
  EXPECT_NEAR(score(2 * std::exp(-0.2), 12).time_score(), 1, 1e-9);
  EXPECT_NEAR(score(2 * std::exp(-0.2), 12).energy_score(), 0.5, 1e-9);
}

TEST(CalibrationTest, WithoutAPredictionInTheSameUnitThereIsNoScore) {
  v1::Prediction predicted;
  predicted.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  predicted.set_seconds_per_unit(2);
  predicted.set_provenance(kLevel);
  v1::RunObservation run;
  run.set_seconds_per_unit(2);
  Score(predicted, v1::WORK_UNIT_TRAINING_TOKEN, &run);  // A prediction of a version without
                                                         // deviations.
  predicted.set_time_deviation(0.1);
  Score(predicted, v1::WORK_UNIT_EXAMPLE, &run);
  EXPECT_EQ(run.predicted_by(), v1::PROVENANCE_UNSPECIFIED);
  EXPECT_FALSE(run.has_time_score());
}

}  // namespace
}  // namespace wattle::scheduler
