// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/model_cost.h"

#include "gtest/gtest.h"

#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/workload_cost.h"

namespace wattle::scheduler {
namespace {

double BytesOf(const char* quantization) {
  v1::WorkloadSignature signature;
  *signature.mutable_model() = Gpt2Shape();
  signature.set_quantization(quantization);
  return WeightBytesPerToken(signature);
}

TEST(ModelCostTest, FlopsFollowTheFormula) {
  // 12 layers x 12 x 768^2 and the head.
  EXPECT_DOUBLE_EQ(MatmulParameterCount(Gpt2Shape()), 84934656.0 + 38597376.0);
  EXPECT_DOUBLE_EQ(ForwardFlopsPerToken(Gpt2Shape(), 0), 2 * 123532032.0);
  EXPECT_DOUBLE_EQ(TrainingFlopsPerToken(Gpt2Shape(), 0), 6 * 123532032.0);
  EXPECT_DOUBLE_EQ(ForwardFlopsPerToken(Gpt2Shape(), 100) - ForwardFlopsPerToken(Gpt2Shape(), 0),
                   4.0 * 12 * 768 * 100);
}

TEST(ModelCostTest, TheLastLayersAndTheHeadHaveABackwardPass) {
  const v1::ModelShape tied = Gpt2Shape();
  v1::ModelShape untied = tied;
  untied.set_untied_head(true);
  constexpr double kHead = 2.0 * 38597376;
  EXPECT_DOUBLE_EQ(LastLayersTrainingFlopsPerToken(untied, 12, 100),
                   TrainingFlopsPerToken(untied, 100));
  EXPECT_DOUBLE_EQ(LastLayersTrainingFlopsPerToken(tied, 12, 100),
                   TrainingFlopsPerToken(tied, 100) - kHead);
  const double layer = 2.0 * 12 * 768 * 768 + 4.0 * 768 * 100;
  EXPECT_NEAR(
      LastLayersTrainingFlopsPerToken(tied, 3, 100) - LastLayersTrainingFlopsPerToken(tied, 2, 100),
      2.0 * layer, 1.0);
}

TEST(ModelCostTest, ASignatureOfTheLastLayersCostsLess) {
  v1::WorkloadSignature signature;
  signature.set_method(v1::METHOD_FINETUNE_FULL);
  *signature.mutable_model() = Gpt2Shape();
  const double full = CostPerToken(signature);
  signature.set_trained_layers(2);
  const double last = CostPerToken(signature);
  EXPECT_DOUBLE_EQ(last, LastLayersTrainingFlopsPerToken(Gpt2Shape(), 2, kSquadTokensPerExample));
  EXPECT_LT(last, 0.7 * full);
  signature.set_activation_checkpointing(true);
  EXPECT_NEAR(CostPerToken(signature) - last,
              ForwardFlopsPerToken(Gpt2Shape(), kSquadTokensPerExample) / 6, 1e-6 * last);
}

// The head is read for every token, and is quantized like any other matrix.
TEST(ModelCostTest, ATokenReadsEveryMatrixInItsFormatWithItsScales) {
  constexpr double kLayers = 84934656;
  constexpr double kHead = 38597376;
  constexpr double kLayerRows = 12.0 * (3 * 768 + 768 + 3072 + 768);
  constexpr double kHeadRows = 50257;
  constexpr double kInt4 = 0.5 + 2.0 / 64;  // An FP16 scale for each group of 64.
  EXPECT_DOUBLE_EQ(BytesOf("none"), 4 * (kLayers + kHead));
  EXPECT_DOUBLE_EQ(BytesOf("int8"), kLayers + kHead + 4 * (kLayerRows + kHeadRows));
  EXPECT_DOUBLE_EQ(BytesOf("int4-g64"), kInt4 * (kLayers + kHead));
  EXPECT_DOUBLE_EQ(BytesOf("int4-g64+head=int8+kv=int8"), kInt4 * kLayers + kHead + 4 * kHeadRows);
  EXPECT_DOUBLE_EQ(BytesOf("int8+head=fp32"), kLayers + 4 * kLayerRows + 4 * kHead);
  EXPECT_DOUBLE_EQ(BytesOf("int4-g64+head=int8+3x8b31f0429f0c21d4"), BytesOf("int4-g64+head=int8"));
  EXPECT_DOUBLE_EQ(BytesOf("adaptive"), 1.3 * BytesOf("int4-g64"));
}

TEST(ModelCostTest, FormatsOfSingleTensorsCount) {
  v1::WorkloadSignature signature;
  *signature.mutable_model() = Gpt2Shape();
  v1::QuantizationRecipe& recipe = *signature.mutable_recipe();
  recipe = *RecipeOfIdentity("int4-g64");
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(signature), BytesOf("int4-g64"));
  const auto with = [&](const char* tensor) {
    recipe.clear_exceptions();
    recipe.add_exceptions()->set_tensor(tensor);
    recipe.mutable_exceptions(0)->mutable_format()->set_bits(8);
    signature.set_quantization(RecipeIdentity(recipe));
    return WeightBytesPerToken(signature) - BytesOf("int4-g64");
  };
  constexpr double kMore = 1 - 0.5 - 2.0 / 64;  // Bytes for a weight; a row also has its FP32
                                                // scale.
  EXPECT_DOUBLE_EQ(with("layers.3.qkv.weight"), 3 * 768 * (768 * kMore + 4));
  EXPECT_DOUBLE_EQ(with("layers.11.down.weight"), 768 * (3072 * kMore + 4));
  EXPECT_DOUBLE_EQ(with("tokens.weight"), 50257 * (768 * kMore + 4)) << "which is the head";
  EXPECT_DOUBLE_EQ(with("head.weight"), 0) << "the model has no other head";
  EXPECT_DOUBLE_EQ(with("layers.12.qkv.weight"), 0) << "nor a thirteenth layer";
}

}  // namespace
}  // namespace wattle::scheduler
