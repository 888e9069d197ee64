// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Our kernels against their plain-ATen counterparts, which other devices run; quantized models on
// disk and in memory.
#include "worker/engine/models/layers.h"

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/quant/quantize.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape);
  kernels::RandomNormal({.seed = seed}, 1.0F, tensor.numel(), tensor.data_ptr<float>());
  return OnTestDevice(tensor);
}

// A quantized matrix of random weights.
MatrixWeights Packed(const char* format, int64_t outputs, int64_t inputs, uint64_t seed) {
  const auto parsed = kernels::ParseFormatName(format);
  EXPECT_THAT(parsed, IsOk());
  const auto packed = PackFloats("test", *parsed, Normal({outputs, inputs}, seed).cpu());
  EXPECT_THAT(packed, IsOk());
  return OnTestDevice(*packed);
}

MatrixWeights Floats(int64_t outputs, int64_t inputs, uint64_t seed) {
  MatrixWeights matrix;
  matrix.value = Normal({outputs, inputs}, seed);
  return matrix;
}

TEST(LayersTest, QuantizedProductsAgreeWithThePlainForm) {
  for (const char* format : {"int8", "int4-g32", "nf4-g64"}) {
    const MatrixWeights matrix = Packed(format, 24, 128, 1);
    const at::Tensor bias = Normal({24}, 3);
    for (const int64_t rows : {1, 3, 9}) {
      const at::Tensor x = Normal({rows, 128}, 4);
      const at::Tensor wanted = MatrixProductPlain(matrix, x, bias);
      const at::Tensor got = MatrixProduct(matrix, x, bias);
      // The inputs are rounded to 254 steps.
      EXPECT_LT((got - wanted).norm().item<double>() / wanted.norm().item<double>(), 0.01)
          << format << ", " << rows << " rows";
    }
    const at::Tensor tokens = OnTestDevice(at::tensor(at::IntArrayRef({23, 0, 5}), at::kLong));
    EXPECT_TRUE(at::equal(LookUpRows(matrix, tokens), Dequantize(matrix).index_select(0, tokens)))
        << format;
  }
}

TEST(LayersTest, OneRowEqualsTheSameRowOfMany) {
  const LinearWeights linear{Floats(24, 40, 1), Normal({24}, 2)};
  const at::Tensor x = Normal({3, 40}, 3);
  EXPECT_TRUE(at::allclose(LinearForward(linear, x.narrow(0, 1, 1)),
                           LinearForward(linear, x).narrow(0, 1, 1), 1e-5, 1e-5));
}

TEST(LayersTest, WhatIsNotTrainedGetsNoGradient) {
  const LinearWeights linear{Floats(24, 40, 1), Normal({24}, 2)};
  LinearWeights gradients;
  gradients.bias = at::zeros({24}, TestDevice());
  const at::Tensor grad = Normal({3, 24}, 5);
  const at::Tensor grad_x = LinearBackward(linear, Normal({3, 40}, 3), grad, gradients);
  EXPECT_TRUE(at::allclose(grad_x, at::mm(grad, linear.matrix.value)));
  EXPECT_FALSE(gradients.matrix.value.defined());
  EXPECT_TRUE(at::allclose(gradients.bias, grad.sum(0)));
}

v1::QuantizationRecipe Recipe(const char* identity) {
  const auto recipe = RecipeOfIdentity(identity);
  EXPECT_THAT(recipe, IsOk());
  return *recipe;
}

LoadedModel LoadQuantized(const std::string& directory, const char* identity = nullptr) {
  ModelJob job = JobOn(directory);
  if (identity != nullptr) {
    job.recipe = Recipe(identity);
  }
  RecordingSink sink;
  auto model = LoadForInference(job, sink);
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

class QuantizeTest : public testing::TestWithParam<const char*> {};

TEST_P(QuantizeTest, DirectoryReloadsBitForBitAndRefusesASecondTime) {
  const std::string directory = MakeTinyModel("model", 5);
  QuantizeSettings settings;
  settings.model = JobOn(directory);
  settings.model.recipe = Recipe(GetParam());
  settings.output_directory = NewTestDirectory("quantized");
  RecordingSink sink;
  const auto result = Quantize(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(RecipeIdentity(result->model.recipe), GetParam());
  EXPECT_EQ(sink.steps.size(), 9U);  // four matrices in each of two blocks, and the table
  const LoadedModel in_memory = LoadQuantized(directory, GetParam());
  const LoadedModel reloaded = LoadQuantized(settings.output_directory);
  EXPECT_EQ(RecipeIdentity(reloaded.recipe), GetParam());
  const BlockWeights& a = in_memory.decoder.weights.blocks[1];
  const BlockWeights& b = reloaded.decoder.weights.blocks[1];
  EXPECT_TRUE(at::equal(a.down.matrix.packed, b.down.matrix.packed));
  EXPECT_TRUE(at::equal(a.down.matrix.scales, b.down.matrix.scales));
  EXPECT_TRUE(at::equal(a.qkv.bias, b.qkv.bias));
  EXPECT_TRUE(
      at::equal(in_memory.decoder.weights.head.packed, reloaded.decoder.weights.tokens.packed));
  const std::string again = NewTestDirectory("again");
  ASSERT_THAT(SaveModel(again, reloaded), IsOk());
  EXPECT_EQ(FileBytes(again + "/model.safetensors"),
            FileBytes(settings.output_directory + "/model.safetensors"));
  EXPECT_LT(FileBytes(again + "/model.safetensors").size(),
            FileBytes(directory + "/model.safetensors").size() * 2 / 3);  // includes the names
  settings.model.directory = settings.output_directory;
  EXPECT_THAT(Quantize(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("already")));
}

TEST_P(QuantizeTest, LogitsStayWithinTheErrorBudget) {
  const std::string directory = MakeTinyModel("model", 5);
  LoadedModel model = LoadQuantized(directory);
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    if (model.parameters[i].decays()) {  // matrices scaled for logits of several units
      ArenaView(model.arena, model.layout, model.parameters, i).mul_(8.0);
    }
  }
  const std::string scaled = NewTestDirectory("scaled");
  ASSERT_THAT(SaveModel(scaled, model), IsOk());
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < 40; ++i) {
    tokens.push_back(i * 7 % 250);
  }
  formats::ExamplePool pool;
  AddExample(pool, tokens, std::vector<uint8_t>(tokens.size(), 1));
  const TokenBatch batch = MakeTokenBatch(pool, {0});
  const at::Tensor wanted = AllLogits(model.decoder, batch);
  const at::Tensor got = AllLogits(LoadQuantized(scaled, GetParam()).decoder, batch);
  // Rounding to 254 steps of a channel's range, or to 16 of a group's, accumulates over the layers.
  const double budget = std::string(GetParam()) == "int8" ? 0.02 : 0.3;
  EXPECT_LT((got - wanted).norm().item<double>() / wanted.norm().item<double>(), budget);
  EXPECT_FALSE(at::equal(got, wanted));
}

INSTANTIATE_TEST_SUITE_P(Recipes, QuantizeTest, testing::Values("int8", "int4-g32", "nf4-g32"),
                         [](const auto& row) {
                           return absl::StrReplaceAll(row.param, {{"-", "_"}});
                         });

TEST(QuantizeRefusalTest, WhatDoesNotFitIsRefusedByItsName) {
  RecordingSink sink;
  const std::string directory = MakeTinyModel("model", 5);
  EXPECT_THAT(LoadForInference(JobOn(directory, Recipe("int4-g128")), sink),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("tokens.weight"), HasSubstr("int4-g128"))));
  QuantizeSettings settings;
  settings.model = JobOn(directory, Recipe("none"));
  settings.output_directory = NewTestDirectory("none");
  EXPECT_THAT(Quantize(settings, sink), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                 HasSubstr("none leaves nothing to do")));
}

TEST(QuantizeRefusalTest, WhatTheEngineDoesNotHonourIsRefused) {
  RecordingSink sink;
  const std::string directory = MakeTinyModel("model", 5);
  EXPECT_THAT(LoadForInference(JobOn(directory, Recipe("int8+kv=bf16")), sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("recipe.kv_cache: bf16")));
  v1::QuantizationRecipe recipe = Recipe("int4-g32");
  recipe.add_exceptions()->set_tensor("layers.7.up.weight");
  EXPECT_THAT(LoadForInference(JobOn(directory, recipe), sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("layers.7.up.weight")));
  recipe.mutable_exceptions(0)->set_tensor("layers.1.up.weight");
  recipe.mutable_exceptions(0)->mutable_format()->set_bits(8);
  const auto mixed = LoadForInference(JobOn(directory, recipe), sink);
  ASSERT_THAT(mixed, IsOk());
  const std::vector<BlockWeights>& blocks = mixed->decoder.weights.blocks;
  EXPECT_EQ(blocks[1].up.matrix.matrix.format.scheme, kernels::WeightScheme::kInt8);
  EXPECT_EQ(blocks[0].up.matrix.matrix.format.scheme, kernels::WeightScheme::kInt4);
}

// The embedding's rows are dequantized one by one as they are looked up, so that the packed matrix
// of the head serves both.
TEST(QuantizeTest, ATiedHeadAndItsEmbeddingAreOneMatrix) {
  QuantizeSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 5), Recipe("int4-g32+head=int8"));
  settings.output_directory = NewTestDirectory("tied");
  RecordingSink sink;
  const auto result = Quantize(settings, sink);
  ASSERT_THAT(result, IsOk());
  int tables = 0;
  for (const StoredMatrix& matrix : result->matrices) {
    tables += matrix.tensor == "tokens.weight" || matrix.tensor == "head.weight" ? 1 : 0;
  }
  EXPECT_EQ(tables, 1);
  const LoadedModel model = LoadQuantized(settings.output_directory);
  const DecoderWeights& weights = model.decoder.weights;
  EXPECT_EQ(weights.head.packed.data_ptr(), weights.tokens.packed.data_ptr());
  EXPECT_EQ(weights.head.scales.data_ptr(), weights.tokens.scales.data_ptr());
  EXPECT_FALSE(weights.tokens.value.defined()) << "no table in FP32 beside the codes";
}

TEST(QuantizeRefusalTest, AScaleThatIsNotFiniteIsRefused) {
  QuantizeSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 5), Recipe("int8"));
  settings.output_directory = NewTestDirectory("int8");
  RecordingSink sink;
  ASSERT_THAT(Quantize(settings, sink), IsOk());
  LoadedModel model = LoadQuantized(settings.output_directory);
  const float not_a_number = std::nanf("");
  at::Tensor& scales = model.decoder.weights.blocks[1].up.matrix.scales;
  const at::Tensor changed = scales.cpu().clone();
  std::memcpy(changed.data_ptr(), &not_a_number, sizeof(not_a_number));
  scales.copy_(changed);
  const std::string broken = NewTestDirectory("broken");
  ASSERT_THAT(SaveModel(broken, model), IsOk());
  EXPECT_THAT(LoadModel(broken, {.device = TestDeviceName()}),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("layers.1.up.weight_scale"), HasSubstr("not finite"))));
}

TEST(EvaluateTest, PerplexityIsTheExponentOfTheLossAndInt8IsNear) {
  const std::string directory = MakeTinyModel("model", 5);
  EvaluateSettings settings;
  settings.model = JobOn(directory);
  settings.data = MakeTinyText("text", 60);
  RecordingSink sink;
  const auto plain = Evaluate(settings, sink);
  ASSERT_THAT(plain, IsOk());
  EXPECT_DOUBLE_EQ(plain->figures.perplexity, std::exp(plain->figures.loss));
  // A byte tokenizer: each byte except the first is predicted once, for any windows.
  EXPECT_EQ(plain->figures.predicted_tokens,
            static_cast<int64_t>(FileBytes(settings.data).size()) - 1);
  EXPECT_DOUBLE_EQ(plain->bytes_per_token, 1.0);
  settings.model.recipe = Recipe("int8");
  const auto int8 = Evaluate(settings, sink);
  ASSERT_THAT(int8, IsOk());
  EXPECT_EQ(RecipeIdentity(int8->model.recipe), "int8");
  EXPECT_NEAR(int8->figures.loss, plain->figures.loss, 0.01);
}

TEST(EvaluateTest, LossDoesNotDependOnTheBatchSize) {
  EvaluateSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 5));
  settings.data = MakeTinySquad("squad", 5);
  RecordingSink sink;
  settings.batch_size = 1;
  const auto one = Evaluate(settings, sink);
  settings.batch_size = 4;
  const auto four = Evaluate(settings, sink);
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(four, IsOk());
  EXPECT_NEAR(four->figures.loss, one->figures.loss, 1e-5);
  EXPECT_EQ(four->figures.predicted_tokens, one->figures.predicted_tokens);
}

TEST(GenerateTest, WritesOneGenerationForEachPromptAndRefusesALongOne) {
  GenerateSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 5));
  settings.prompts = {{"a", "sun"}, {"b", ""}};
  settings.max_new_tokens = 3;
  RecordingSink sink;
  const auto result = Generate(settings, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->generations.size(), 2U);
  EXPECT_EQ(result->generations[0].prompt_tokens, 3);
  EXPECT_EQ(result->generations[1].prompt_tokens, 1);  // the begin token
  EXPECT_EQ(static_cast<int64_t>(sink.steps.size()), result->generated_tokens);
  EXPECT_EQ(result->work.real_tokens, result->prompt_tokens) << "what is generated is no example";
  settings.prompts = {{"long", std::string(64, 'x')}};
  EXPECT_THAT(Generate(settings, sink), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 AllOf(HasSubstr("prompt long"), HasSubstr("64"))));
}

TEST(LoadModelTest, WeightsThatAreNotFiniteNameTheTensor) {
  const std::string directory = MakeTinyModel("model", 5);
  const LoadedModel model = LoadQuantized(directory);
  model.decoder.weights.blocks[0].up.bias[3] = std::nan("");
  const std::string broken = NewTestDirectory("broken");
  ASSERT_THAT(SaveModel(broken, model), IsOk());
  EXPECT_THAT(LoadModel(broken, {.device = TestDeviceName()}),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("h.0.mlp.c_fc.bias"), HasSubstr("not finite"))));
}

TEST(LoadModelTest, ADeviceThatIsNotThereSaysSo) {
  if (at::hasCUDA()) {
    GTEST_SKIP() << "this machine has CUDA";
  }
  EXPECT_THAT(LoadModel(MakeTinyModel("model", 5), {.device = "cuda"}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("use \"cpu\"")));
}

}  // namespace
}  // namespace wattle::engine
