// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "policy/held_back.h"
#include "policy/limits.h"

namespace wattle::policy {
namespace {

v1::Policy Demand(const std::string& name, double reserve, double temperature,
                  v1::MissingGauge missing = v1::MISSING_GAUGE_UNSPECIFIED) {
  v1::Policy policy;
  policy.set_name(name);
  policy.set_reserve_state_of_charge_ratio(reserve);
  policy.set_max_temperature_celsius(temperature);
  policy.set_missing_gauge(missing);
  return policy;
}

TEST(LimitsTest, TheStrictestDemandOfEachKindCountsAndKeepsItsName) {
  const v1::Policy mast = Demand("mast", 0.3, 80);
  const v1::Policy winter = Demand("winter", 0.5, 0);
  const v1::Policy box = Demand("box", 0, 70);
  const Limits limits = LimitsOf({&mast, &winter, &box});
  EXPECT_EQ(limits.reserve->state_of_charge, Fraction(0.5));
  EXPECT_EQ(limits.reserve->policy, "winter");
  EXPECT_EQ(limits.temperature_max->temperature, Celsius(70));
  EXPECT_EQ(limits.temperature_max->policy, "box");
  EXPECT_EQ(LimitsOf({}).reserve, std::nullopt);
}

TEST(LimitsTest, AMissingGaugeIsRefusedByAPolicyWithAReserveAlone) {
  const v1::Policy heat = Demand("heat", 0, 80, v1::MISSING_GAUGE_REFUSE);
  const v1::Policy mast = Demand("mast", 0.3, 0, v1::MISSING_GAUGE_REFUSE);
  EXPECT_EQ(LimitsOf({&heat}).refuses_missing_gauge, "");
  EXPECT_EQ(LimitsOf({&heat, &mast}).refuses_missing_gauge, "mast");
}

v1::Prediction HundredSteps() {
  v1::Prediction prediction;
  prediction.mutable_run_seconds()->set_high(400);
  prediction.set_mean_power_watts(10);
  prediction.set_start_seconds(12);
  prediction.set_checkpoint_seconds(9);
  prediction.set_unit(v1::WORK_UNIT_EXAMPLE);
  prediction.set_seconds_per_unit(0.25);
  return prediction;
}

TEST(PredictedStopTest, AFineTunesStepIsItsShareOfTheRun) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_steps(100);
  const StopEstimate estimate = PredictedStop(spec, HundredSteps());
  EXPECT_EQ(estimate.step, absl::Seconds(4));
  EXPECT_EQ(estimate.checkpoint, absl::Seconds(3));  // two checkpoints and the result
  EXPECT_EQ(estimate.start, absl::Seconds(12));
  EXPECT_EQ(estimate.load, Watts(10));
}

TEST(PredictedStopTest, WithoutANumberOfStepsTheBatchTellsAndWithoutEitherHalfAMinute) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_batch_size(4);
  spec.mutable_finetune()->set_gradient_accumulation_steps(3);
  EXPECT_EQ(PredictedStop(spec, HundredSteps()).step, absl::Seconds(3));
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate();
  EXPECT_EQ(PredictedStop(evaluate, HundredSteps()).step, absl::Seconds(30));
  v1::Prediction brief = HundredSteps();
  brief.mutable_run_seconds()->set_high(5);
  EXPECT_EQ(PredictedStop(evaluate, brief).step, absl::Seconds(5));
}

TEST(HeldBackTest, CountsAnOldReadingTheKillAndTheShutdown) {
  const StopEstimate estimate = {.start = absl::Seconds(10),
                                 .step = absl::Seconds(20),
                                 .checkpoint = absl::Seconds(10),
                                 .load = Watts(10)};
  EXPECT_EQ(StopTime(estimate), absl::Seconds(60));
  EXPECT_NEAR(HeldBack(estimate).value(), 1.1 * 10 * (30 + 60 + 10), 1e-9);
  EXPECT_EQ(StopTime({}), absl::Seconds(20));
}

TEST(HeldBackTest, TheThresholdAddsTheGaugesErrorAndAShareOfTheCapacity) {
  const StopEstimate estimate = {.step = absl::Seconds(40), .load = Watts(10)};
  const Gauge gauge = {.error = Fraction(0.05), .capacity = Joules(110'000)};
  EXPECT_NEAR(StopThreshold(Fraction(0.3), gauge, estimate).value(), 0.3 + 0.05 + 0.01, 1e-9);
  const Gauge unknown = {.error = Fraction(0.02), .capacity = {}};
  EXPECT_NEAR(StopThreshold(Fraction(0.3), unknown, estimate).value(), 0.37, 1e-9);
}

}  // namespace
}  // namespace wattle::policy
