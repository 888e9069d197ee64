// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quantization-aware training: the weights of a step's passes, exact resume, and the benefit. Tiny
// models, one thread.
#include "worker/engine/train/rounded_weights.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

v1::QuantizationRecipe Recipe(const char* identity) {
  const auto recipe = RecipeOfIdentity(identity);
  EXPECT_THAT(recipe, IsOk());
  return *recipe;
}

class RoundedWeightsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_F(RoundedWeightsTest, MatricesAreThoseOfARoundedModelAndTheRestIsTheModels) {
  const std::string directory = MakeTinyModel("model", 5);
  auto model = LoadModel(directory, {.device = TestDeviceName()});
  ASSERT_THAT(model, IsOk());
  auto rounded = RoundedWeights::Make(*model, Recipe("int4-g32+head=int8"));
  ASSERT_THAT(rounded, IsOk());
  for (int change = 0; change < 2; ++change) {
    rounded->Refresh(*model);
    const DecoderWeights& passes = rounded->decoder().weights;
    for (Parameter& parameter : model->parameters) {
      const models::ModelTensor& tensor = parameter.tensor;
      DecoderWeights own = model->decoder.weights;
      DecoderWeights seen = passes;
      if (!tensor.is_multiplied(model->files.config)) {
        EXPECT_EQ(IsMatrixSlot(tensor) ? MatrixAt(seen, tensor).value.data_ptr()
                                       : TensorAt(seen, tensor).data_ptr(),
                  IsMatrixSlot(tensor) ? MatrixAt(own, tensor).value.data_ptr()
                                       : TensorAt(own, tensor).data_ptr())
            << tensor.name;
        continue;
      }
      const bool head = tensor.slot == models::Slot::kTokens;
      const auto format = kernels::ParseFormatName(head ? "int8" : "int4-g32");
      const auto packed = PackFloats(tensor.name, *format, MatrixAt(own, tensor).value.cpu());
      ASSERT_THAT(packed, IsOk());
      at::Tensor wanted = at::empty(tensor.shape, at::kFloat);
      kernels::OperationsOf(format->scheme)
          .dequantize(packed->matrix, 0, tensor.shape[0], wanted.data_ptr<float>());
      EXPECT_TRUE(at::equal(MatrixAt(seen, tensor).value.cpu(), wanted)) << tensor.name;
    }
    EXPECT_EQ(passes.head.value.data_ptr(), passes.tokens.value.data_ptr()) << "still tied";
    model->arena.mul_(0.7);  // as a step changes it
  }
}

TEST_F(RoundedWeightsTest, WhatCannotBeRoundedIsRefused) {
  const auto model = LoadModel(MakeTinyModel("model", 5), {.device = TestDeviceName()});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(RoundedWeights::Make(*model, Recipe("int4-g64")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("int4-g64")));
}

TEST_F(RoundedWeightsTest, Int8KeysAndValuesAreRefusedAlsoBesideAdapters) {
  for (const bool lora : {false, true}) {
    FinetuneSettings settings = TinyFinetune("run");
    settings.model.recipe = Recipe("int8+kv=int8");
    if (lora) {
      settings.lora.emplace();
    }
    RecordingSink sink;
    EXPECT_THAT(Finetune(settings, sink),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("recipe.kv_cache: int8: training keeps keys and values")));
  }
}

TEST_F(RoundedWeightsTest, AResumedRunIsBitIdentical) {
  FinetuneSettings whole = TinyFinetune("whole");
  whole.model.recipe = Recipe("int4-g32");
  RecordingSink sink;
  ASSERT_THAT(Finetune(whole, sink), IsOk());
  FinetuneSettings parts = TinyFinetune("parts");
  parts.model.recipe = Recipe("int4-g32");
  RecordingSink first;
  first.decide = [](const StepReport& report) {
    return report.phase == Phase::kTrain && report.step == 2 ? StepDecision::kStop
                                                             : StepDecision::kGoOn;
  };
  EXPECT_THAT(Finetune(parts, first), StatusIs(absl::StatusCode::kCancelled, HasSubstr("step")));
  // A checkpoint with another recipe belongs to another job.
  FinetuneSettings other = parts;
  other.model.recipe = Recipe("int8");
  RecordingSink refused;
  EXPECT_THAT(Finetune(other, refused),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
  RecordingSink second;
  const auto result = Finetune(parts, second);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 2);
  EXPECT_EQ(FileBytes(parts.output_directory + "/model.safetensors"),
            FileBytes(whole.output_directory + "/model.safetensors"));
}

// Loss of the trained model, rounded, on its training data.
double RoundedLoss(const FinetuneSettings& trained) {
  EvaluateSettings settings;
  settings.model = JobOn(trained.output_directory, Recipe("int4-g32"));
  settings.data = trained.data;
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? result->figures.loss : 0.0;
}

TEST_F(RoundedWeightsTest, ATrainedModelLosesLessWhenItIsRounded) {
  // Without dropout the model memorizes its seven questions, which rounding disturbs.
  FinetuneSettings plain = TinyFinetune("plain");
  FinetuneSettings aware = TinyFinetune("aware");
  for (FinetuneSettings* settings : {&plain, &aware}) {
    TakeDropoutAway(*settings);
    settings->epochs = 60;
    settings->checkpoint_every_steps = 1000;
    settings->adamw.weight_decay = 0.0;
  }
  aware.model.recipe = Recipe("int4-g32");
  RecordingSink sink;
  ASSERT_THAT(Finetune(plain, sink), IsOk());
  const auto result = Finetune(aware, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(RecipeIdentity(result->model.recipe), "none") << "the result is FP32";
  const double aware_loss = RoundedLoss(aware);
  const double plain_loss = RoundedLoss(plain);
  EXPECT_LT(aware_loss, 0.9 * plain_loss);
}

}  // namespace
}  // namespace wattle::engine
