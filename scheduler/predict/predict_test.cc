// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which level of the predictor answers, and its error after one attempt on a device whose
// truth is known.
#include "scheduler/predict/predict.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

v1::Device MakeDevice(const std::string& id, const std::string& device_class, bool emulated) {
  v1::Device device;
  device.mutable_info()->set_device_id(id);
  device.mutable_info()->set_device_class(device_class);
  device.mutable_info()->set_emulated(emulated);
  device.mutable_info()->set_cores(4);
  return device;
}

// The true behaviour of a device: a fixed time for each step, and operations at a rate.
struct Truth {
  double step_seconds;
  double flops_per_second;
  double power_watts;

  [[nodiscard]] double Seconds(const WorkAmount& work) const {
    return work.steps * step_seconds +
           work.units * TrainingFlopsPerToken(work.signature.model(), work.tokens_per_example) /
               flops_per_second;
  }
};

v1::Receipt ReceiptOf(const WorkAmount& work, const Truth& truth) {
  return MeasuredReceipt(work, truth.Seconds(work), truth.power_watts);
}

void Learn(const v1::Device& device, const WorkAmount& work, const Truth& truth,
           ProfileTable* table) {
  for (const v1::ProfileRow& row :
       LearnFromReceipt(*table, device.info(), ReceiptOf(work, truth), absl::UnixEpoch())) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

double Width(const v1::Interval& interval) {
  return interval.high() / interval.low();
}

TEST(PredictTest, LevelsAnswerBestFirst) {
  const v1::Device device = MakeDevice("d1", "board-a", false);
  const v1::Device sibling = MakeDevice("d2", "board-a", false);
  const v1::Device cousin = MakeDevice("d3", "board-b", false);
  const WorkAmount work = DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 8);
  const WorkAmount half_batch = DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 4);
  const WorkAmount other_model = DeclaredWork(Gpt2Shape(12, 384), 1000, 128, 8);
  const Truth truth{0.1, 5e10, 9};
  ProfileTable table;
  EXPECT_EQ(Predict(table, device, work, {}).provenance(), v1::PROVENANCE_DATASHEET);
  Learn(device, work, truth, &table);
  EXPECT_EQ(Predict(table, device, work, {}).provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  EXPECT_EQ(Predict(table, sibling, work, {}).provenance(), v1::PROVENANCE_MEASURED_CLASS);
  EXPECT_EQ(Predict(table, device, half_batch, {}).provenance(), v1::PROVENANCE_INTERPOLATED);
  EXPECT_EQ(Predict(table, device, other_model, {}).provenance(), v1::PROVENANCE_OTHER_MODEL);
  EXPECT_EQ(Predict(table, cousin, work, {}).provenance(), v1::PROVENANCE_DATASHEET);
  // Both classes have run the smaller model; their ratio transfers the larger one.
  Learn(cousin, work, Truth{0.2, 2.5e10, 5}, &table);
  Learn(device, other_model, truth, &table);
  const v1::Prediction transferred = Predict(table, cousin, other_model, {});
  EXPECT_EQ(transferred.provenance(), v1::PROVENANCE_TRANSFERRED);
  EXPECT_NEAR(transferred.run_seconds().mean(), 2 * truth.Seconds(other_model),
              0.05 * transferred.run_seconds().mean());
  EXPECT_NEAR(transferred.mean_power_watts(), 5, 1e-9);
  EXPECT_THAT(transferred.provenance_note(), HasSubstr("transferred from board-a"));
}

TEST(PredictTest, ExactRowsGiveTheirOwnFigures) {
  const v1::Device device = MakeDevice("d1", "board-a", false);
  const Truth truth{0.1, 5e10, 9};
  ProfileTable table;
  Learn(device, DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 8), truth, &table);
  const WorkAmount twice = DeclaredWork(Gpt2Shape(6, 384), 2000, 128, 8);
  const v1::Prediction prediction = Predict(table, device, twice, {});
  EXPECT_NEAR(prediction.run_seconds().mean(), truth.Seconds(twice), 1e-6);
  EXPECT_NEAR(prediction.run_energy_joules().mean(), 9 * truth.Seconds(twice), 1e-5);
  EXPECT_NEAR(prediction.mean_power_watts(), 9, 1e-9);
}

TEST(PredictTest, IntervalsWidenWithDistance) {
  const v1::Device device = MakeDevice("d1", "board-a", false);
  const v1::Device sibling = MakeDevice("d2", "board-a", false);
  ProfileTable table;
  Learn(device, DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 8), Truth{0.1, 5e10, 9}, &table);
  const auto width = [&table](const v1::Device& on, const WorkAmount& work) {
    return Width(Predict(table, on, work, {}).run_seconds());
  };
  const WorkAmount exact = DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 8);
  EXPECT_LT(width(device, exact), width(sibling, exact));
  EXPECT_LT(width(device, exact), width(device, DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 4)));
  EXPECT_LT(width(device, DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 4)),
            width(device, DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 1)));
  EXPECT_LT(width(device, exact), width(device, DeclaredWork(Gpt2Shape(6, 384), 1000, 0, 0)));
  EXPECT_LT(width(device, DeclaredWork(Gpt2Shape(8, 384), 1000, 128, 8)),
            width(device, DeclaredWork(Gpt2Shape(48, 1536), 1000, 128, 8)));
}

TEST(PredictTest, EmulatedRowsNeverServeARealDevice) {
  const v1::Device emulated = MakeDevice("d1", "board-a", true);
  ProfileTable table;
  const WorkAmount work = DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 8);
  Learn(emulated, work, Truth{0.1, 5e10, 9}, &table);
  EXPECT_EQ(Predict(table, MakeDevice("d2", "board-a", true), work, {}).provenance(),
            v1::PROVENANCE_MEASURED_CLASS);
  EXPECT_EQ(Predict(table, MakeDevice("d2", "board-a", false), work, {}).provenance(),
            v1::PROVENANCE_DATASHEET);
}

// The figure of `bench core` on devices whose truth is known: one attempt teaches; then jobs with
// half to twice the examples, batch and length are predicted.
TEST(PredictTest, MedianErrorAfterOneAttemptIsBelowFifteenPercent) {
  constexpr unsigned kSeed = 20261120;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 generator(kSeed);
  std::uniform_real_distribution<double> spread(-1, 1);
  struct Case {
    const char* name;
    v1::ModelShape shape;
    double step_tokens;  // The fixed part of a step, in the time of this many tokens.
  };
  const Case kCases[] = {{"one core, AdamW alone", Gpt2Shape(6, 384), 50},
                         {"slow optimizer", Gpt2Shape(6, 384), 200},
                         {"no fixed part", Gpt2Shape(6, 384), 0},
                         {"board with launch overhead", Gpt2Shape(12, 768), 250}};
  for (const Case& test : kCases) {
    std::vector<double> errors;
    for (int round = 0; round < 40; ++round) {
      const double flops = 2e10 * std::exp(spread(generator));
      const double token = TrainingFlopsPerToken(test.shape, 128) / flops;
      const Truth truth{test.step_tokens * token, flops, 10 * (1 + 0.2 * spread(generator))};
      const v1::Device device = MakeDevice("d1", "board-a", true);
      ProfileTable table;
      Learn(device, DeclaredWork(test.shape, 200, 128, 8), truth, &table);
      const auto factor = [&] { return std::exp2(spread(generator)); };
      const WorkAmount job =
          DeclaredWork(test.shape, static_cast<int64_t>(200 * factor()), std::round(128 * factor()),
                       static_cast<int>(std::lround(8 * factor())));
      const v1::Prediction prediction = Predict(table, device, job, {});
      errors.push_back(std::abs(prediction.run_seconds().mean() / truth.Seconds(job) - 1));
      const double energy = truth.Seconds(job) * truth.power_watts;
      EXPECT_NEAR(prediction.run_energy_joules().mean() / energy,
                  prediction.run_seconds().mean() / truth.Seconds(job), 1e-6);
    }
    std::sort(errors.begin(), errors.end());
    EXPECT_LE(errors[errors.size() / 2], 0.15) << test.name;
  }
}

TEST(PredictTest, TwoBatchesTellTheFixedCostOfAStep) {
  const v1::Device device = MakeDevice("d1", "board-a", false);
  const v1::ModelShape shape = Gpt2Shape(6, 384);
  const double token = TrainingFlopsPerToken(shape, 128) / 2e10;
  const Truth truth{800 * token, 2e10, 9};
  ProfileTable table;
  Learn(device, DeclaredWork(shape, 800, 128, 16), truth, &table);
  const WorkAmount small = DeclaredWork(shape, 800, 128, 1);
  const double first =
      Predict(table, device, small, {}).run_seconds().mean() / truth.Seconds(small);
  Learn(device, DeclaredWork(shape, 800, 128, 4), truth, &table);
  const double second =
      Predict(table, device, small, {}).run_seconds().mean() / truth.Seconds(small);
  EXPECT_LT(first, 0.5);
  EXPECT_NEAR(second, 1, 0.15);
}

TEST(PredictTest, FetchCountsWhatTheDeviceDoesNotHold) {
  v1::Device device = MakeDevice("d1", "board-a", false);
  device.mutable_info()->set_link_bytes_per_second(1e6);
  device.mutable_heartbeat()->add_cached_artifact_ids("model");
  std::vector<InputView> inputs(3);
  inputs[0].artifact.set_artifact_id("model");
  inputs[0].artifact.set_size_bytes(500000000);
  inputs[1].artifact.set_artifact_id("data");
  inputs[1].artifact.set_size_bytes(3000000);
  inputs[2].artifact.set_artifact_id("data");
  inputs[2].artifact.set_size_bytes(3000000);
  const v1::Prediction prediction =
      Predict(ProfileTable(), device, DeclaredWork(Gpt2Shape(6, 384), 10, 128, 8), inputs);
  EXPECT_EQ(prediction.fetch_bytes(), 3000000);
  EXPECT_DOUBLE_EQ(prediction.fetch_seconds(), 3);
  EXPECT_GT(prediction.fetch_energy_joules(), 0);
}

TEST(PredictTest, UploadIsTheResultOverTheDevicesLink) {
  v1::Device device = MakeDevice("d1", "board-a", false);
  device.mutable_info()->set_link_bytes_per_second(1e6);
  WorkAmount work = DeclaredWork(Gpt2Shape(6, 384), 10, 128, 8);
  work.result_bytes = 5e6;
  const v1::Prediction with = Predict(ProfileTable(), device, work, {});
  EXPECT_EQ(with.upload_bytes(), 5000000);
  EXPECT_DOUBLE_EQ(with.upload_seconds(), 5);
  EXPECT_GT(with.upload_energy_joules(), 0);
  // The result is also written to the device's disk; only the upload is compared.
  device.mutable_info()->set_link_bytes_per_second(1e9);
  const v1::Prediction fast = Predict(ProfileTable(), device, work, {});
  EXPECT_NEAR(TotalSeconds(with, 0) - TotalSeconds(fast, 0), 5 - 0.005, 1e-9);
  EXPECT_NEAR(MarginalEnergyJoules(with) - MarginalEnergyJoules(fast),
              with.upload_energy_joules() - fast.upload_energy_joules(), 1e-9);
}

TEST(PredictTest, NetEnergyIsAboveIdleWhereIdleIsKnown) {
  v1::Device device = MakeDevice("d1", "jetson-orin-nano", true);
  const ProfileTable priors = ProfileTable::Priors();
  const WorkAmount work = DeclaredWork(Gpt2Shape(12, 768), 10000, 0, 0);
  v1::Prediction prediction = Predict(priors, device, work, {});
  EXPECT_FALSE(prediction.idle_known());
  EXPECT_DOUBLE_EQ(prediction.net_energy_joules(), prediction.run_energy_joules().mean());
  device.mutable_heartbeat()->set_idle_power_watts(3.5);
  prediction = Predict(priors, device, work, {});
  EXPECT_TRUE(prediction.idle_known());
  EXPECT_NEAR(prediction.net_energy_joules(),
              prediction.run_energy_joules().mean() - 3.5 * prediction.run_seconds().mean(), 1e-6);
}

// A generation with an int4 model of which one matrix is in another form.
WorkAmount AdaptiveGeneration(const char* tensor, int bits) {
  InputView model{"model", {}};
  *model.artifact.mutable_model_shape() = Gpt2Shape(6, 384);
  v1::QuantizationRecipe& recipe = *model.artifact.mutable_recipe();
  recipe = *RecipeOfIdentity("int4-g64");
  recipe.add_exceptions()->set_tensor(tensor);
  recipe.mutable_exceptions(0)->mutable_format()->set_bits(bits);
  model.artifact.set_quantization(RecipeIdentity(recipe));
  v1::JobSpec spec;
  spec.mutable_generate()->set_model("m");
  spec.mutable_generate()->add_prompts("The mast is");
  return WorkOf(spec, {model}, ProfileTable()).value();
}

TEST(PredictTest, AdaptiveModelsOfDifferentAssignmentsShareNoMeasurement) {
  const v1::Device device = MakeDevice("d1", "board-a", false);
  const WorkAmount one = AdaptiveGeneration("layers.0.down.weight", 8);
  const WorkAmount other = AdaptiveGeneration("tokens.weight", 32);
  ProfileTable table;
  Learn(device, one, {0.1, 5e10, 9}, &table);
  EXPECT_TRUE(IsMeasured(table, {device.info(), one}));
  EXPECT_FALSE(IsMeasured(table, {device.info(), other}));
  // The signature contains the matrices read in FP32, so that the two works are not neighbours in
  // cost either.
  EXPECT_GT(CostPerToken(other.signature), 3 * CostPerToken(one.signature));
}

TEST(PredictTest, PublishedGenerationRowsServeThePi) {
  v1::JobSpec spec;
  *spec.mutable_generate()->mutable_model_shape() = Gpt2Shape(6, 768);
  spec.mutable_generate()->mutable_model_shape()->set_heads(12);
  spec.mutable_generate()->set_prompt_count(10);
  const ProfileTable priors = ProfileTable::Priors();
  const v1::Device device = MakeDevice("d1", "raspberry-pi-5", true);
  const v1::Prediction full = Predict(priors, device, WorkOf(spec, {}, priors).value(), {});
  spec.mutable_generate()->set_quantization(v1::QUANTIZATION_INT8);
  const v1::Prediction int8 = Predict(priors, device, WorkOf(spec, {}, priors).value(), {});
  EXPECT_EQ(full.provenance(), v1::PROVENANCE_PUBLISHED);
  EXPECT_NEAR(full.run_seconds().mean() / int8.run_seconds().mean(), 6.215 / 2.7178, 1e-6);
}

}  // namespace
}  // namespace wattle::scheduler
