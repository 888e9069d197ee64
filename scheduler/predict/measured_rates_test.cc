// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A class without measured work is predicted from its measured processor and memory rates and from
// a class with measured work.
#include "scheduler/predict/measured_rates.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
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

constexpr double kTeacherFlops = 50e9;

v1::Device BoardWith(const std::string& id, const std::string& device_class, double fp32_flops) {
  v1::Device device;
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_device_id(id);
  info.set_device_class(device_class);
  info.set_cores(4);
  if (fp32_flops != 0) {
    v1::MeasuredRates& rates = *info.add_rates();
    rates.set_fp32_flops(fp32_flops);
    rates.set_bf16_flops(fp32_flops / 5);  // Unlike its FP32 products: the kind of work decides.
    rates.set_memory_bytes_per_second(8e9);
  }
  return device;
}

WorkAmount WorkOfLayers(int layers, const std::string& precision = "") {
  WorkAmount work = DeclaredWork(Gpt2Shape(layers, 384), 1000, 128, 8);
  if (!precision.empty()) {
    work.signature.set_precision(precision);
  }
  return work;
}

// A board of class "taught" that has rates and has measured six layers in 1,000 s.
ProfileTable Taught(v1::Device teacher = BoardWith("t1", "taught", kTeacherFlops)) {
  ProfileTable table;
  table.mutable_rates().Put(teacher.info());
  LearnRun(teacher, WorkOfLayers(6), 1000, {}, &table);
  return table;
}

v1::Prediction PredictOn(const ProfileTable& table, const v1::Device& board,
                         const WorkAmount& work = WorkOfLayers(6)) {
  return Predict(table, board, work, {});
}

TEST(MeasuredRatesTest, AClassNeverSeenFollowsTheRatioOfItsRates) {
  const ProfileTable table = Taught();
  const v1::Prediction twice = PredictOn(table, BoardWith("n1", "new", 2 * kTeacherFlops));
  EXPECT_EQ(twice.provenance(), v1::PROVENANCE_MEASURED_RATES);
  EXPECT_NEAR(twice.run_seconds().mean(), 500, 1e-6);
  EXPECT_THAT(twice.provenance_note(),
              HasSubstr("by measured rates from taught, x0.5 by FP32 products"));
  // Much closer than the datasheet.
  const v1::Prediction untold = PredictOn(table, BoardWith("n1", "new", 0));
  EXPECT_EQ(untold.provenance(), v1::PROVENANCE_DATASHEET);
  EXPECT_LT(3 * twice.time_deviation(), untold.time_deviation());
}

TEST(MeasuredRatesTest, AModelNeverSeenScalesByItsCostToo) {
  const v1::Prediction larger =
      PredictOn(Taught(), BoardWith("n1", "new", kTeacherFlops), WorkOfLayers(12));
  EXPECT_EQ(larger.provenance(), v1::PROVENANCE_MEASURED_RATES);
  EXPECT_GT(larger.run_seconds().mean(), 1000);
  EXPECT_LT(larger.run_seconds().mean(), 2500);
  EXPECT_GT(larger.time_deviation(), 0.35);
}

TEST(MeasuredRatesTest, TheKindOfWorkDecidesWhichRate) {
  ProfileTable table = Taught();
  LearnRun(BoardWith("t1", "taught", kTeacherFlops), WorkOfLayers(6, "bf16"), 700, {}, &table);
  v1::Device board = BoardWith("n1", "new", kTeacherFlops);
  board.mutable_info()->mutable_rates(0)->set_bf16_flops(kTeacherFlops);
  EXPECT_NEAR(PredictOn(table, board, WorkOfLayers(6, "bf16")).run_seconds().mean(), 140, 1e-6);
  EXPECT_NEAR(PredictOn(table, board).run_seconds().mean(), 1000, 1e-6);
  // A rate that one of them lacks cannot be compared.
  board.mutable_info()->mutable_rates(0)->set_bf16_flops(0);
  EXPECT_EQ(PredictOn(table, board, WorkOfLayers(6, "bf16")).provenance(),
            v1::PROVENANCE_DATASHEET);
}

// Generation reads weights: by the memory's rate, quantized ones by the products of low bits.
TEST(MeasuredRatesTest, AGenerationGoesByWhatReadsItsWeights) {
  v1::JobSpec spec;
  *spec.mutable_generate()->mutable_model_shape() = Gpt2Shape(24, 2048);
  spec.mutable_generate()->add_prompts("a prompt");
  spec.mutable_generate()->set_max_new_tokens(200);
  const auto work_of = [&](const std::string& quantization) {
    WorkAmount work = WorkOf(spec, {}, ProfileTable()).value();
    if (!quantization.empty()) {
      work.signature.set_quantization(quantization);
    }
    return work;
  };
  v1::Device teacher = BoardWith("t1", "taught", kTeacherFlops);
  v1::Device board = BoardWith("n1", "new", kTeacherFlops);
  v1::MeasuredRates& there = *teacher.mutable_info()->mutable_rates(0);
  v1::MeasuredRates& here = *board.mutable_info()->mutable_rates(0);
  there.set_int8_weights_per_second(6e9);
  there.set_int4_weights_per_second(9e9);
  here.set_memory_bytes_per_second(4e9);
  here.set_int8_weights_per_second(6e9);
  here.set_int4_weights_per_second(3e9);
  ProfileTable table = Taught(teacher);
  for (const auto& [quantization, words] :
       {std::pair("none", "x2 by memory"), std::pair("int8", "x1 by int8 products"),
        std::pair("int4-g64", "x3 by 4-bit products")}) {
    const WorkAmount work = work_of(quantization);
    v1::Receipt receipt = MeasuredReceipt(work, 100, 8);
    receipt.mutable_work()->set_generated_tokens(200);
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, teacher.info(), receipt, absl::UnixEpoch())) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
    const v1::Prediction prediction = PredictOn(table, board, work);
    EXPECT_EQ(prediction.provenance(), v1::PROVENANCE_MEASURED_RATES) << quantization;
    EXPECT_THAT(prediction.provenance_note(), HasSubstr(words));
  }
}

TEST(MeasuredRatesTest, WhatTheClassMeasuredItselfGoesFirst) {
  ProfileTable table = Taught();
  const v1::Device board = BoardWith("n1", "new", kTeacherFlops);
  LearnRun(board, WorkOfLayers(9), 2000, {}, &table);
  EXPECT_NE(PredictOn(table, board).provenance(), v1::PROVENANCE_MEASURED_RATES);
  EXPECT_EQ(PredictOn(table, board, WorkOfLayers(9)).provenance(), v1::PROVENANCE_MEASURED_DEVICE);
}

TEST(MeasuredRatesTest, AModeGoesByTheRatesOfItsOwn) {
  v1::Device teacher = BoardWith("t1", "taught", kTeacherFlops);
  teacher.mutable_info()->set_power_mode("15W");
  teacher.mutable_info()->mutable_rates(0)->set_power_mode("15W");
  v1::MeasuredRates& slow = *teacher.mutable_info()->add_rates();
  slow.set_power_mode("7W");
  slow.set_fp32_flops(kTeacherFlops / 2);
  v1::Device board = BoardWith("n1", "new", kTeacherFlops);
  EXPECT_NEAR(PredictOn(Taught(teacher), board).run_seconds().mean(), 1000, 1e-6);
  teacher.mutable_info()->set_power_mode("7W");  // The run was made in it.
  EXPECT_NEAR(PredictOn(Taught(teacher), board).run_seconds().mean(), 500, 1e-6);
}

TEST(MeasuredRatesTest, EmulatedBoardsRatesNeverServeRealOnes) {
  v1::Device emulated = BoardWith("e1", "taught", kTeacherFlops);
  emulated.mutable_info()->set_emulated(true);
  v1::Device board = BoardWith("n1", "new", kTeacherFlops);
  EXPECT_EQ(PredictOn(Taught(emulated), board).provenance(), v1::PROVENANCE_DATASHEET);
  board.mutable_info()->set_emulated(true);
  EXPECT_EQ(PredictOn(Taught(emulated), board).provenance(), v1::PROVENANCE_MEASURED_RATES);
  EXPECT_EQ(PredictOn(Taught(), board).provenance(), v1::PROVENANCE_DATASHEET);
  // A real board measured the work, and an emulated one of its class reported the rates.
  v1::Device real = BoardWith("t1", "taught", 0);
  ProfileTable table = Taught(real);
  table.mutable_rates().Put(emulated.info());
  EXPECT_EQ(PredictOn(table, BoardWith("n1", "new", kTeacherFlops)).provenance(),
            v1::PROVENANCE_DATASHEET);
}

TEST(MeasuredRatesTest, RatesThatNoBoardHasTeachNothing) {
  for (const double wrong :
       {std::nan(""), -kTeacherFlops, 1.0, 1e19, std::numeric_limits<double>::infinity()}) {
    SCOPED_TRACE(wrong);
    EXPECT_EQ(PredictOn(Taught(), BoardWith("n1", "new", wrong)).provenance(),
              v1::PROVENANCE_DATASHEET);
    EXPECT_EQ(
        PredictOn(Taught(BoardWith("t1", "taught", wrong)), BoardWith("n1", "new", kTeacherFlops))
            .provenance(),
        v1::PROVENANCE_DATASHEET);
  }
  // Off by 1,000 but below some accelerator's rate; only the class's datasheet detects it.
  v1::Device pi = BoardWith("n1", "raspberry-pi-5", 60e9);
  EXPECT_EQ(PredictOn(Taught(), pi).provenance(), v1::PROVENANCE_MEASURED_RATES);
  pi.mutable_info()->mutable_rates(0)->set_fp32_flops(60e12);
  EXPECT_EQ(PredictOn(Taught(), pi).provenance(), v1::PROVENANCE_DATASHEET);
  EXPECT_THAT(RateProblemOn(pi.info(), pi.info().rates(0)), HasSubstr("fp32_flops 6e+13"));
}

TEST(MeasuredRatesTest, RatesOfAnotherEngineOrAcceleratorServeNothing) {
  v1::Device board = BoardWith("n1", "new", kTeacherFlops);
  board.mutable_info()->mutable_rates(0)->set_accelerator("cuda");
  EXPECT_EQ(PredictOn(Taught(), board).provenance(), v1::PROVENANCE_DATASHEET);
  board = BoardWith("n1", "new", kTeacherFlops);
  board.mutable_info()->set_engine_version("2");
  board.mutable_info()->mutable_rates(0)->set_engine_version("1");
  EXPECT_EQ(PredictOn(Taught(), board).provenance(), v1::PROVENANCE_DATASHEET);
}

TEST(MeasuredRatesTest, ADeviceThatLeavesTakesItsRatesWithIt) {
  ProfileTable table = Taught();
  const v1::Device board = BoardWith("n1", "new", kTeacherFlops);
  v1::Device second = BoardWith("t2", "taught", 4 * kTeacherFlops);
  table.mutable_rates().Put(second.info());
  EXPECT_NEAR(PredictOn(table, board).run_seconds().mean(), 2000, 1e-6);  // The geometric mean.
  table.mutable_rates().Remove(second.info());
  EXPECT_NEAR(PredictOn(table, board).run_seconds().mean(), 1000, 1e-6);
  table.mutable_rates().Remove(BoardWith("t1", "taught", 0).info());
  EXPECT_TRUE(table.rates().empty());
}

// The level learns its width only from its own errors.
TEST(MeasuredRatesTest, TheLevelLearnsItsOwnError) {
  constexpr unsigned kSeed = 3;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  std::normal_distribution<double> normal(0, 1);
  ProfileTable table = Taught();
  int covered = 0;
  constexpr int kClasses = 80;
  for (int i = 0; i < kClasses; ++i) {
    const v1::Device board = BoardWith("n", "new-" + std::to_string(i), kTeacherFlops);
    const v1::Prediction predicted = PredictOn(table, board);
    ASSERT_EQ(predicted.provenance(), v1::PROVENANCE_MEASURED_RATES);
    const double seconds = 1000 * std::exp(0.8 * normal(random));  // Three times what it states.
    covered += i >= kClasses / 2 && predicted.run_seconds().low() <= seconds &&
                       seconds <= predicted.run_seconds().high()
                   ? 1
                   : 0;
    LearnRun(board, WorkOfLayers(6), seconds, predicted, &table);
  }
  EXPECT_GE(covered, kClasses / 2 * 8 / 10);
}

}  // namespace
}  // namespace wattle::scheduler
